{{/*
The grammar of the request annotations in CEL, for pods and for the pod templates of workloads. It says the same as
the parser in src/api/request.rs; tests/cases/annotations.yaml is run against both.

A policy that includes it defines two variables first:
  annotations  the annotations to judge
  before       what they were; an annotation that did not change is not judged, so that an object that was there
               before the policy can still be scaled, adopted and deleted
Only libraries of Kubernetes 1.34 and older are used.
*/}}

{{- define "sluice.grammar.key" -}}
([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z0-9]+([-.][a-z0-9]+)*(:[a-z0-9]+([-.][a-z0-9]+)*)*
{{- end -}}

{{- define "sluice.grammar.variables" -}}
# Annotations of ours that are new or changed.
- name: fresh
  expression: >-
    variables.annotations.filter(k, k.startsWith('sluice.dev/')
      && !(k in variables.before && variables.before[k] == variables.annotations[k]))
- name: tooLong
  expression: variables.fresh.filter(k, size(bytes(variables.annotations[k])) > 4096)
# Nothing below reads more than 4096 bytes of an annotation.
- name: judged
  expression: variables.fresh.filter(k, !(k in variables.tooLong))
- name: slots
  expression: >-
    'sluice.dev/slots' in variables.judged
    ? variables.annotations['sluice.dev/slots'].split(',').map(e, e.trim()) : []
- name: locks
  expression: >-
    'sluice.dev/locks' in variables.judged
    ? variables.annotations['sluice.dev/locks'].split(',').map(e, e.trim()) : []
# The object of a key has ':' as '--' in its name, which has at most 253 characters.
- name: badSlots
  expression: >-
    variables.slots.filter(e, !(
      e.matches('^{{ include "sluice.grammar.key" . }}(=([1-9][0-9]{0,5}|1000000))?$')
      && e.substring(e.lastIndexOf('/') + 1).split('=')[0].replace(':', '--').size() <= 253))
- name: rates
  expression: >-
    'sluice.dev/rate-limits' in variables.judged
    ? variables.annotations['sluice.dev/rate-limits'].split(',').map(e, e.trim()) : []
- name: badRates
  expression: >-
    variables.rates.filter(e, !(
      e.matches('^{{ include "sluice.grammar.key" . }}(=([1-9][0-9]{0,5}|1000000))?$')
      && e.substring(e.lastIndexOf('/') + 1).split('=')[0].replace(':', '--').size() <= 253))
# One limit is named in one of the two; either may be the one that changed.
- name: slotNames
  expression: >-
    'sluice.dev/slots' in variables.annotations && size(variables.annotations['sluice.dev/slots']) <= 4096
    ? variables.annotations['sluice.dev/slots'].split(',').map(e, e.trim().split('=')[0]) : []
- name: rateEntries
  expression: >-
    'sluice.dev/rate-limits' in variables.annotations
    && size(variables.annotations['sluice.dev/rate-limits']) <= 4096
    ? variables.annotations['sluice.dev/rate-limits'].split(',').map(e, e.trim()) : []
- name: bothWays
  expression: >-
    variables.fresh.exists(k, k in ['sluice.dev/slots', 'sluice.dev/rate-limits'])
    && variables.slotNames.size() <= 64 && variables.rateEntries.size() <= 64
    ? variables.rateEntries.filter(e, e != '' && e.split('=')[0] in variables.slotNames) : []
# A mode is the last segment of an entry and never the last one of a key.
- name: badLocks
  expression: >-
    variables.locks.filter(e, !(
      e.matches('^{{ include "sluice.grammar.key" . }}$')
      && !e.matches('(^|/)(shared|exclusive)$')
      && !e.matches('(^|[/:])(shared|exclusive):(shared|exclusive)$')
      && e.substring(e.lastIndexOf('/') + 1).replace(':', '--').size()
         - (e.endsWith(':shared') ? 8 : e.endsWith(':exclusive') ? 11 : 0) <= 253))
{{- end -}}

{{/* One segment of a key: the name of a worker, and the whole of a worker's part of a key. */}}
{{- define "sluice.grammar.segment" -}}
[a-z0-9]+([-.][a-z0-9]+)*
{{- end -}}

{{/* An expression for the first of the given bad entries, quoted and cut. Argument: name of the variable. */}}
{{- define "sluice.grammar.quoted" -}}
strings.quote({{ . }}.size() > 64 ? {{ . }}.substring(0, 64) + '...' : {{ . }})
{{- end -}}

{{- define "sluice.grammar.validations" -}}
- expression: variables.tooLong.size() == 0
  messageExpression: "'annotation ' + variables.tooLong[0] + ': has more than 4096 bytes; at most 4096 are read'"
- expression: variables.slots.size() <= 64 && variables.locks.size() <= 64 && variables.rates.size() <= 64
  messageExpression: >-
    'annotation sluice.dev/'
    + (variables.slots.size() > 64 ? 'slots' : variables.locks.size() > 64 ? 'locks' : 'rate-limits') + ': has '
    + string(variables.slots.size() > 64 ? variables.slots.size()
      : variables.locks.size() > 64 ? variables.locks.size() : variables.rates.size())
    + ' entries; at most 64 are allowed'
- expression: variables.badSlots.size() == 0
  messageExpression: >-
    'annotation sluice.dev/slots: entry ' + {{ include "sluice.grammar.quoted" "variables.badSlots[0]" }}
    + ' is not of the form [namespace/]limit[=slots], as in gpu, db=2 or licences/matlab: a-z and 0-9 with single'
    + ' "-" or "." between them, ":" between segments, 1 to 1000000 slots, no entry empty, the name'
    + ' at most 253 characters'
- expression: variables.badRates.size() == 0
  messageExpression: >-
    'annotation sluice.dev/rate-limits: entry ' + {{ include "sluice.grammar.quoted" "variables.badRates[0]" }}
    + ' is not of the form [namespace/]limit[=slots], as in api=3 or billing/api: a-z and 0-9 with single'
    + ' "-" or "." between them, ":" between segments, 1 to 1000000 slots, no entry empty, the name'
    + ' at most 253 characters'
- expression: variables.bothWays.size() == 0
  messageExpression: >-
    'annotation sluice.dev/rate-limits: entry ' + {{ include "sluice.grammar.quoted" "variables.bothWays[0]" }}
    + ': the limit is named in sluice.dev/slots too; a pod either holds slots of it or takes them for a rate'
- expression: variables.badLocks.size() == 0
  messageExpression: >-
    'annotation sluice.dev/locks: entry ' + {{ include "sluice.grammar.quoted" "variables.badLocks[0]" }}
    + ' is not of the form [namespace/]lock[:shared|:exclusive], as in deploy or infra/schema:shared: a-z and 0-9 with'
    + ' single "-" or "." between them, ":" between segments, no number, no entry empty, the lock itself not called'
    + ' shared or exclusive'
- expression: >-
    !('sluice.dev/timeout' in variables.judged)
    || (variables.annotations['sluice.dev/timeout'].matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')
        && duration(variables.annotations['sluice.dev/timeout']) > duration('0s')
        && duration(variables.annotations['sluice.dev/timeout']) <= duration('8760h'))
  messageExpression: >-
    'annotation sluice.dev/timeout: '
    + {{ include "sluice.grammar.quoted" "variables.annotations['sluice.dev/timeout']" }}
    + ' is no duration of up to four numbers with units h, m, s or ms, as in 1h30m, longer than nothing and at most 8760h'
- expression: >-
    !('sluice.dev/on-timeout' in variables.judged)
    || variables.annotations['sluice.dev/on-timeout'] in ['Wait', 'Fail']
  messageExpression: >-
    'annotation sluice.dev/on-timeout: '
    + {{ include "sluice.grammar.quoted" "variables.annotations['sluice.dev/on-timeout']" }} + ' is neither Wait nor Fail'
- expression: >-
    !('sluice.dev/if-missing' in variables.judged)
    || variables.annotations['sluice.dev/if-missing'] in ['Wait', 'Ignore']
  messageExpression: >-
    'annotation sluice.dev/if-missing: '
    + {{ include "sluice.grammar.quoted" "variables.annotations['sluice.dev/if-missing']" }}
    + ' is neither Wait nor Ignore'
- expression: >-
    !('sluice.dev/priority' in variables.judged)
    || (variables.annotations['sluice.dev/priority'].matches('^(0|-?[1-9][0-9]{0,9})$')
        && int(variables.annotations['sluice.dev/priority']) >= -2147483648
        && int(variables.annotations['sluice.dev/priority']) <= 2147483647)
  messageExpression: >-
    'annotation sluice.dev/priority: '
    + {{ include "sluice.grammar.quoted" "variables.annotations['sluice.dev/priority']" }}
    + ' is no whole number from -2147483648 to 2147483647'
{{- end -}}
