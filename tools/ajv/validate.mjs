// Usage: node validate.mjs SCHEMA DOCUMENT... — exits with 1 and says where, if a document does not fit the schema, or if the
// schema is not strictly one. Documents are JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The modules are where make has put them.
const require = createRequire(process.env.AJV + "/");
const [schemaFile, ...documents] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(file, "utf8"));
const schema = read(schemaFile);
const Ajv = schema.$schema.includes("draft-07") ? require("ajv") : require("ajv/dist/2020");
const ajv = new Ajv.default({ strict: true, strictRequired: false, allErrors: true, allowUnionTypes: true });
require("ajv-formats").default(ajv);
const validate = ajv.compile(schema);
for (const file of documents) {
  if (!validate(read(file))) {
    for (const e of validate.errors) console.error(`${file}: ${e.instancePath || "/"} ${e.message} ${JSON.stringify(e.params)}`);
    process.exitCode = 1;
  }
}
