{{/* What is known of each role: its words, user, port of /metrics, and the port of nginx by which people or programs reach it. */}}
{{- define "ullage.roles" -}}
crawl: { words: [crawl], user: 10001, port: 9711, reaches: [bus, internet] }
match: { words: [match], user: 10002, port: 9712, reaches: [bus] }
alert: { words: [alert], user: 10003, port: 9713, reaches: [bus, store, channels] }
search: { words: [search], user: 10004, port: 8600, serves: 8600, from: readers, reaches: [store, identityProvider] }
intake: { words: [intake], user: 10006, port: 9714, serves: 8601, from: collectors, reaches: [bus] }
{{- $ports := dict "matrix" 9716 "xmpp" 9717 "telegram" 9718 "imap" 9719 }}
collect: { words: [collect, {{ .Values.roles.collect.service }}], user: 10007, port: {{ get $ports .Values.roles.collect.service }}, reaches: [bus, internet] }
{{- end }}

{{- define "ullage.name" -}}
{{ printf "%s-%s" .Release.Name .role | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "ullage.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* By which the pods of one role of one release are chosen; never changed in a release. */}}
{{- define "ullage.selector" -}}
app.kubernetes.io/name: ullage
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "ullage.labels" -}}
{{ include "ullage.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What no container of ours may. */}}
{{- define "ullage.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* "yes" where this role takes part in assessing files that are dropped on the console. */}}
{{- define "ullage.assesses" -}}
{{- if .Values.assess.enabled }}
{{- if not (and .Values.roles.match.enabled .Values.roles.search.enabled) }}
{{- fail "assess.enabled is between match and search: enable both in this release" }}
{{- end }}
{{- if has .role (list "match" "search") }}yes{{ end }}
{{- end }}
{{- end }}

{{/* Asks the role on its own loopback: neither /healthz nor /readyz is served to the network. */}}
{{- define "ullage.ask" -}}
exec:
  command:
    - /usr/bin/python3
    - -IBc
    - "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:{{ .port }}/{{ .path }}', timeout=8)"
timeoutSeconds: 10
{{- end }}
