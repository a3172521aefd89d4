{{- define "openai-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "openai-exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "openai-exporter.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "openai-exporter.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "openai-exporter.selector" -}}
app.kubernetes.io/name: {{ include "openai-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "openai-exporter.labels" -}}
{{ include "openai-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "openai-exporter.serviceAccount" -}}
{{- default (ternary (include "openai-exporter.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "openai-exporter.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* The organizations as one list, whichever way they were given. */}}
{{- define "openai-exporter.organizations" -}}
{{- if and .Values.existingSecret .Values.organizations }}
{{- fail "set existingSecret for one organization, or organizations for several, not both" }}
{{- else if .Values.existingSecret }}
{{- list (dict "name" "default" "existingSecret" .Values.existingSecret "existingSecretKey" .Values.existingSecretKey) | toYaml }}
{{- else if .Values.organizations }}
{{- .Values.organizations | toYaml }}
{{- else }}
{{- fail "existingSecret: name the secret that holds the admin key, made for example by kubectl create secret generic openai-admin-key --from-file=admin-key=FILE" }}
{{- end }}
{{- end }}

{{- define "openai-exporter.config" -}}
{{- $organizations := list }}
{{- range include "openai-exporter.organizations" . | fromYamlArray }}
{{- $organizations = append $organizations (merge (dict "name" .name "api_key_file" (printf "/etc/openai_exporter/keys/%s" .name)) (default dict .config)) }}
{{- end }}
{{- merge (dict "organizations" $organizations) .Values.config | toYaml }}
{{- end }}

{{- define "openai-exporter.scheme" -}}
{{- ternary "https" "http" (and .Values.web.tls (ne .Values.web.existingSecret "")) }}
{{- end }}

{{- define "openai-exporter.probe" -}}
{{- if .root.Values.web.existingSecret -}}
exec:
  command:
    - /bin/openai_exporter
    - healthcheck
    - --url={{ include "openai-exporter.scheme" .root }}://localhost:10095{{ .path }}
    - --timeout={{ .root.Values.probes.timeoutSeconds }}s
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
{{- end }}
periodSeconds: {{ .root.Values.probes.periodSeconds }}
timeoutSeconds: {{ .root.Values.probes.timeoutSeconds }}
failureThreshold: {{ .root.Values.probes.failureThreshold }}
{{- end }}
