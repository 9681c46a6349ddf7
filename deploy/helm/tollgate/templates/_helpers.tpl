{{- define "tollgate.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "tollgate.labels" -}}
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* How long a replica may take to end: TOLLGATE_DRAIN_SECONDS is 120 unless set. */ -}}
{{- define "tollgate.ending" -}}
{{- $drain := .Values.settings.TOLLGATE_DRAIN_SECONDS | toString | default "120" | replace "<nil>" "120" | int -}}
{{- $grace := .Values.settings.TOLLGATE_DRAIN_GRACE_SECONDS | default 0 | int -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if and $given (le (int $given) (add $drain $grace | int)) -}}
{{- fail "terminationGracePeriodSeconds: expected more than TOLLGATE_DRAIN_SECONDS and TOLLGATE_DRAIN_GRACE_SECONDS together" -}}
{{- end -}}
{{- $given | default (add $drain $grace 30) | int -}}
{{- end -}}

{{- define "tollgate.selector" -}}
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
