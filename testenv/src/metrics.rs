//! Reads what the tests count from a component's metrics in the Prometheus text format.

use std::collections::BTreeMap;

/// The requests of one kind: `PATCH` of `pods`, subresource `status`, say. The subresource is empty for the object itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKind {
    /// The verb as the server counts it: `GET`, `LIST`, `WATCH`, `POST`, `PUT`, `PATCH`, `APPLY`, `DELETE`, `DELETECOLLECTION`.
    pub verb: String,
    /// The resource's plural name, such as `pods`.
    pub resource: String,
    /// The subresource, such as `status`, or empty.
    pub subresource: String,
}

impl RequestKind {
    /// Names a kind of request.
    #[must_use]
    pub fn new(verb: &str, resource: &str, subresource: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// Says whether requests of this kind change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "GET" | "LIST" | "WATCH")
    }
}

/// Sums `apiserver_request_total` by kind, over answers of every code.
pub(crate) fn api_requests(text: &str) -> BTreeMap<RequestKind, u64> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let Some((labels, value)) = line
            .strip_prefix("apiserver_request_total{")
            .and_then(|rest| rest.rsplit_once("} "))
        else {
            continue;
        };
        let kind = RequestKind {
            verb: label(labels, "verb"),
            resource: label(labels, "resource"),
            subresource: label(labels, "subresource"),
        };
        // Large counters are written as 1.234567e+06.
        let count = value.trim().parse::<f64>().unwrap_or_default();
        *counts.entry(kind).or_default() += count as u64;
    }
    counts
}

/// Gives a label's value. None of the labels read here holds a quote or a comma.
fn label(labels: &str, name: &str) -> String {
    labels
        .split(',')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""))
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_summed_over_codes() {
        let text = "\
# TYPE apiserver_request_total counter
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"status\",verb=\"PATCH\",version=\"v1\"} 1.5e+03
apiserver_request_total{code=\"409\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"status\",verb=\"PATCH\",version=\"v1\"} 2
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 7
apiserver_request_duration_seconds_count{verb=\"PATCH\"} 9
";
        let counts = api_requests(text);
        assert_eq!(counts.len(), 2);
        assert_eq!(counts[&RequestKind::new("PATCH", "pods", "status")], 1502);
        assert_eq!(counts[&RequestKind::new("LIST", "pods", "")], 7);
        assert!(RequestKind::new("APPLY", "pods", "").is_write());
        assert!(!RequestKind::new("LIST", "pods", "").is_write());
    }
}
