{{/* Names, labels and decisions that several templates share. */}}

{{- define "sluice.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the release's objects; short enough for every suffix below. */}}
{{- define "sluice.fullname" -}}
{{- $name := include "sluice.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sluice.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{- define "sluice.labels" -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sluice
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sluice.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sluice.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false: the guards know the controller by it" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The account of the pre-delete hook. */}}
{{- define "sluice.cleanupName" -}}
{{- include "sluice.fullname" . -}}-cleanup
{{- end -}}

{{/* User names as the API server sees them. */}}
{{- define "sluice.controllerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "sluice.serviceAccountName" . }}
{{- end -}}
{{- define "sluice.cleanupUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "sluice.cleanupName" . }}
{{- end -}}

{{/* Who keeps the cluster tidy and must get past every guard of an object's life: as CEL strings. Without credentials of
their own (--use-service-account-credentials) these controllers share one user. */}}
{{- define "sluice.collectors" -}}
'system:serviceaccount:kube-system:generic-garbage-collector',
'system:serviceaccount:kube-system:namespace-controller', 'system:kube-controller-manager'
{{- end -}}

{{- define "sluice.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Not empty if the cluster is to put gate and label on pods itself. */}}
{{- define "sluice.mutates" -}}
{{- if eq .Values.admission.policy "enabled" -}}
true
{{- else if and (eq .Values.admission.policy "auto") (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
true
{{- end -}}
{{- end -}}

{{/* The namespaces a policy looks at: all, or the ones served. Never by a label that tenants write. */}}
{{- define "sluice.policyNamespaces" -}}
{{- if .Values.controller.namespaces -}}
namespaceSelector:
  matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{ toJson .Values.controller.namespaces }}
{{- else -}}
namespaceSelector: {}
{{- end -}}
{{- end -}}

{{/* Restricted PodSecurity, for the controller and the hook. */}}
{{- define "sluice.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "sluice.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
