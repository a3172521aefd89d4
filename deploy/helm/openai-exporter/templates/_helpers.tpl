{{- define "openai-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* A stateful set's name has no dot, which a release's name may have. */}}
{{- define "openai-exporter.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name (include "openai-exporter.name" .)) (contains (include "openai-exporter.name" .) .Release.Name) }}
{{- end }}
{{- $name | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* A service's name begins with a letter, too. */}}
{{- define "openai-exporter.service" -}}
{{- $name := include "openai-exporter.fullname" . }}
{{- if regexMatch "^[a-z]" $name }}{{ $name }}{{ else }}{{ printf "s-%s" $name }}{{ end }}
{{- end }}

{{- /* The service that gives each replica a name of its own. */}}
{{- define "openai-exporter.headless" -}}
{{- printf "%s-headless" (include "openai-exporter.service" .) }}
{{- end }}

{{- define "openai-exporter.selector" -}}
app.kubernetes.io/name: {{ include "openai-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "openai-exporter.labels" -}}
{{ include "openai-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
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
  path: {{ .path | quote }}
  port: http
{{- end }}
periodSeconds: {{ .root.Values.probes.periodSeconds }}
timeoutSeconds: {{ .root.Values.probes.timeoutSeconds }}
failureThreshold: {{ .root.Values.probes.failureThreshold }}
{{- end }}

{{- /* One target of each replica, which has a name of its own behind the headless service. */}}
{{- define "openai-exporter.replica" -}}
{{- printf "%s-%d.%s.%s.svc:10095" (include "openai-exporter.fullname" .root) .index (include "openai-exporter.headless" .root) .root.Release.Namespace }}
{{- end }}

{{- /* The bytes of a quantity, because Kubernetes writes 1024Mi as 1Gi. */}}
{{- define "openai-exporter.bytes" -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $factors (regexFind "[A-Za-z]*$" .)) }}
{{- end }}

{{- /* Kubernetes refuses to change some fields of a stateful set, in words of its own. This refuses first and says what
works instead. It has to ask the cluster: `helm template` and a dry run on the client find nothing. */}}
{{- define "openai-exporter.changeable" -}}
{{- $root := . }}
{{- $name := include "openai-exporter.fullname" . }}
{{- $volume := and .Values.persistence.enabled (not .Values.persistence.existingClaim) }}
{{- range (lookup "apps/v1" "StatefulSet" .Release.Namespace "").items }}
{{- $owner := get (default dict .metadata.annotations) "meta.helm.sh/release-name" }}
{{- $chart := get (default dict .metadata.labels) "helm.sh/chart" }}
{{- if and (eq $owner $root.Release.Name) (hasPrefix (printf "%s-" $root.Chart.Name) $chart) }}
{{- if eq .metadata.name $name }}
{{- include "openai-exporter.sameSet" (dict "root" $root "set" . "volume" $volume) }}
{{- else if and $volume .spec.volumeClaimTemplates }}
{{- fail (printf "nameOverride or fullnameOverride: release %s runs as %s, and as %s it would have an empty volume and count from zero. Leave the name as it is. A single replica can take its volume along: set persistence.existingClaim to data-%s-0" $root.Release.Name .metadata.name $name .metadata.name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "openai-exporter.sameSet" -}}
{{- $set := .set }}
{{- $selector := include "openai-exporter.selector" .root | fromYaml }}
{{- $wanted := .root.Values.persistence }}
{{- $found := first (default (list dict) $set.spec.volumeClaimTemplates) }}
{{- $changed := list }}
{{- $cascade := " --cascade=orphan" }}
{{- if ne (toJson $selector) (toJson $set.spec.selector.matchLabels) }}
{{- $changed = append $changed "nameOverride" }}
{{- $cascade = "" }}
{{- end }}
{{- if ne (include "openai-exporter.headless" .root) (default "" $set.spec.serviceName) }}
{{- $changed = append $changed "the governing service" }}
{{- end }}
{{- if ne "Parallel" $set.spec.podManagementPolicy }}
{{- $changed = append $changed "the order in which replicas start" }}
{{- end }}
{{- if ne .volume (not (empty $set.spec.volumeClaimTemplates)) }}
{{- $changed = append $changed (ternary "persistence.enabled" "persistence.enabled or persistence.existingClaim" .volume) }}
{{- else if .volume }}
{{- if ne (include "openai-exporter.bytes" $wanted.size) (include "openai-exporter.bytes" $found.spec.resources.requests.storage) }}
{{- $changed = append $changed "persistence.size" }}
{{- end }}
{{- if ne $wanted.storageClass (default "" $found.spec.storageClassName) }}
{{- $changed = append $changed "persistence.storageClass" }}
{{- end }}
{{- if ne (toJson $wanted.accessModes) (toJson $found.spec.accessModes) }}
{{- $changed = append $changed "persistence.accessModes" }}
{{- end }}
{{- if ne (toJson (default dict $wanted.annotations)) (toJson (default dict $found.metadata.annotations)) }}
{{- $changed = append $changed "persistence.annotations" }}
{{- end }}
{{- end }}
{{- if $changed }}
{{- fail (printf "%s: Kubernetes can't change this in the stateful set %s, which exists. Put the former value back, or replace the set, whose volumes stay: kubectl --namespace %s delete statefulset %s%s, then upgrade again" (join ", " $changed) $set.metadata.name .root.Release.Namespace $set.metadata.name $cascade) }}
{{- end }}
{{- end }}
