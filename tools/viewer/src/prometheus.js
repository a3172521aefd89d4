import { DataFrameType, DataSourceApi, FieldType, LoadingState, toDataFrame } from '@grafana/data'
import { getTemplateSrv } from '@grafana/runtime'
import { from, map } from 'rxjs'

// Beside the page, the Prometheus API is served under this path.
const base = '/prometheus'

// The test reads from the document how many queries were asked, how many were answered and what went wrong.
const told = { asked: 0, answered: 0, errors: [] }
function tell() {
  const d = document.documentElement.dataset
  d.asked = told.asked
  d.answered = told.answered
  d.errors = told.errors.join('\n')
}

async function get(path, parameters) {
  told.asked++
  tell()
  try {
    const answer = await (await fetch(`${base}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json()
    if (answer.status !== 'success') {
      told.errors.push(`${answer.error}: ${JSON.stringify(parameters)}`)
    }
    return answer
  } finally {
    told.answered++
    tell()
  }
}

const number = (s) => (s === 'NaN' ? NaN : s === '+Inf' ? Infinity : s === '-Inf' ? -Infinity : Number(s))

function spelling({ __name__: name, ...labels }) {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}="${v}"`).join(',')
  return (name ?? '') + (pairs && `{${pairs}}`)
}

function legend(format, labels) {
  if (!format || format === '__auto') {
    return spelling(labels)
  }
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name) => labels[name] ?? '')
}

// A table beside others is told from them by its query, as Grafana does it.
function table(refId, result, alone) {
  const names = [...new Set(result.flatMap((s) => Object.keys(s.metric)))]
  return toDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map((s) => s.value[0] * 1000) },
      ...names.map((name) => ({ name, type: FieldType.string, values: result.map((s) => s.metric[name] ?? '') })),
      { name: alone ? 'Value' : `Value #${refId}`, type: FieldType.number, values: result.map((s) => number(s.value[1])) },
    ],
  })
}

function series(target, s, step) {
  const values = s.values ?? [s.value]
  const name = legend(target.legendFormat, s.metric)
  return toDataFrame({
    refId: target.refId,
    name,
    meta: { type: DataFrameType.TimeSeriesMulti },
    fields: [
      { name: 'Time', type: FieldType.time, config: { interval: step * 1000 }, values: values.map((v) => v[0] * 1000) },
      { name: 'Value', type: FieldType.number, labels: s.metric, config: { displayNameFromDS: name }, values: values.map((v) => number(v[1])) },
    ],
  })
}

// Prometheus is a data source with as much of Grafana's own as the dashboards need.
export class Prometheus extends DataSourceApi {
  constructor(scrapeInterval) {
    super({ id: 1, uid: 'prometheus', type: 'prometheus', name: 'Prometheus', meta: { id: 'prometheus', info: {}, baseUrl: '' }, jsonData: {} })
    Object.assign(this, { type: 'prometheus', uid: 'prometheus', name: 'Prometheus', scrapeInterval })
  }

  getRef() {
    return { type: 'prometheus', uid: 'prometheus' }
  }

  // Grafana's steps are at least the scrape interval, and its rates are over four of them.
  step(request, target) {
    const range = (request.range.to.valueOf() - request.range.from.valueOf()) / 1000
    const wanted = Number.parseInt(target.interval, 10) * { s: 1, m: 60, h: 3600, d: 86400 }[target.interval?.slice(-1)]
    return Math.max(1, this.scrapeInterval, wanted || 0, Math.round((request.intervalMs || 15000) / 1000), Math.ceil(range / 11000))
  }

  expression(request, target, step) {
    const range = Math.round((request.range.to.valueOf() - request.range.from.valueOf()) / 1000)
    const known = { __rate_interval: `${Math.max(step + this.scrapeInterval, 4 * this.scrapeInterval)}s`, __interval: `${step}s`, __range_s: range, __range: `${range}s` }
    const expr = target.expr.replace(/\$\{?(__rate_interval|__interval|__range_s|__range)\b\}?/g, (_, name) => known[name])
    return getTemplateSrv().replace(expr, request.scopedVars, (v) => (Array.isArray(v) ? `(${v.join('|')})` : v))
  }

  query(request) {
    return from(this.ask(request))
  }

  async ask(request) {
    const data = []
    const errors = []
    for (const target of request.targets.filter((t) => t.expr && !t.hide)) {
      const step = this.step(request, target)
      const query = this.expression(request, target, step)
      const instant = target.instant && !target.range
      const to = request.range.to.valueOf() / 1000
      const answer = instant
        ? await get('query', { query, time: to })
        : await get('query_range', { query, start: Math.ceil(request.range.from.valueOf() / 1000 / step) * step, end: to, step })
      if (answer.status !== 'success') {
        errors.push({ message: answer.error, refId: target.refId })
      } else if (instant && target.format === 'table') {
        data.push(table(target.refId, answer.data.result, request.targets.length === 1))
      } else {
        data.push(...answer.data.result.map((s) => series(target, s, step)))
      }
    }
    return { data, errors, error: errors[0] }
  }

  // Names for the values of a variable come from a second group of its regular expression, which scenes apply themselves.
  async metricFindQuery(query, options) {
    const text = getTemplateSrv().replace(typeof query === 'string' ? query : query.query, options?.scopedVars)
    const to = options?.range?.to.valueOf() / 1000 || Date.now() / 1000
    const values = text.match(/^label_values\((.+), ([a-z_]+)\)$/)
    if (values) {
      const { data } = await get(`label/${values[2]}/values`, { 'match[]': values[1] })
      return data.map((value) => ({ text: value, value }))
    }
    const result = text.match(/^query_result\((.+)\)$/)
    if (!result) {
      told.errors.push(`no such variable query: ${text}`)
      tell()
      return []
    }
    const { data } = await get('query', { query: result[1], time: to })
    return data.result.map((s) => ({ text: spelling(s.metric) }))
  }

  testDatasource() {
    return Promise.resolve({ status: 'success', message: '' })
  }
}

// What asks a data source for a panel.
export function runRequest(source, request, ask) {
  const answers = ask ? ask(request) : source.query(request)
  return answers.pipe(map((answer) => ({
    state: answer.error ? LoadingState.Error : LoadingState.Done,
    series: answer.data,
    errors: answer.errors,
    error: answer.error,
    timeRange: request.range,
    request,
    annotations: [],
  })))
}
