{{/* What the controller does in the namespaces it serves; tests/it/chart/rbac.rs lists the same verbs once more. */}}
{{- define "sluice.controllerRules" -}}
- apiGroups: [sluice.dev]
  resources: [concurrencylimits]
  # Worker limits of families are created, put right and deleted.
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [sluice.dev]
  resources: [locks]
  verbs: [get, list, watch]
- apiGroups: [sluice.dev]
  resources: [concurrencylimits/status, locks/status]
  # A patch in place of the update where somebody keeps touching the object.
  verbs: [update, patch]
- apiGroups: [sluice.dev]
  resources: [slotclaims]
  # Claims that have ended are deleted in their time; the policy "claim-cage" lets it delete no other.
  verbs: [get, list, watch, delete]
- apiGroups: [sluice.dev]
  resources: [slotclaims/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  # The policy "cage" leaves of this patch only our gate, annotations, label and finalizer.
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods/status]
  # A timeout with on-timeout: Fail.
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* What the uninstall hook does there. */}}
{{- define "sluice.cleanupRules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch]
# The guards let a holder of this verb open gates and take finalizers off.
- apiGroups: [sluice.dev]
  resources: [concurrencylimits]
  verbs: [bypass]
{{- end -}}
