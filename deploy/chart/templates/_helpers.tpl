{{/* Labels of every object; call with (list . "gateway"). */}}
{{- define "mlops-assets.labels" -}}
{{- $root := index . 0 -}}
{{ include "mlops-assets.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mlops-assets
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* The labels that find a component's pods again; they must never change. */}}
{{- define "mlops-assets.selector" -}}
app.kubernetes.io/name: mlops-assets
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Pods that carry this may talk to MLflow; dagster-values.yaml gives it to runs as well. */}}
{{- define "mlops-assets.mlflow-client" -}}
mlops-assets/mlflow-client: "true"
{{- end }}

{{- define "mlops-assets.home-claim" -}}
{{ .Values.home.existingClaim | default (printf "%s-home" .Release.Name) }}
{{- end }}

{{/* What every pod of this chart is allowed, which is next to nothing. */}}
{{- define "mlops-assets.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.user }}
  runAsGroup: {{ .Values.user }}
  fsGroup: {{ .Values.user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "mlops-assets.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* A claim for a volume of one node; call with an object that has size and storageClassName. */}}
{{- define "mlops-assets.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClassName }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}
