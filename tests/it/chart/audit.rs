//! The API server's own word on what the accounts of a release asked for: its audit log.
//!
//! Two things are read from it: that nothing was forbidden, and that no right was granted that is not used.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_testenv::Options;
use tempfile::TempDir;

use super::helm::NAMESPACE;

/// Who may see what, in the words of [`Request::right`].
pub(super) type Rights = BTreeSet<String>;

/// The audit log of one control plane. It holds what accounts of the release's namespace did, and nothing else.
pub(super) struct Audit {
    directory: TempDir,
}

/// A request that was answered.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) verb: String,
    /// As `group/resource` or `group/resource/subresource`.
    pub(super) resource: String,
    pub(super) name: String,
    code: u64,
    why: String,
}

impl Audit {
    /// A log that is still empty.
    pub(super) fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ours = format!("system:serviceaccounts:{NAMESPACE}");
        let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "userGroups": [ours]}, {"level": "None"}]});
        std::fs::write(directory.path().join("policy.json"), policy.to_string()).unwrap();
        Self { directory }
    }

    /// Options of a control plane that writes it.
    pub(super) fn options(&self) -> Options {
        let file = |name| self.directory.path().join(name).display().to_string();
        Options::default()
            .apiserver_argument(format!("--audit-policy-file={}", file("policy.json")))
            .apiserver_argument(format!("--audit-log-path={}", file("audit.log")))
    }

    /// What this account of the release was answered until now, in that order.
    pub(super) fn of(&self, account: &str) -> Vec<Request> {
        let text = std::fs::read_to_string(self.directory.path().join("audit.log")).unwrap();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|event: &Value| event["user"]["username"] == *user)
            .map(|event| Request::read(&event))
            .collect()
    }

    /// The rights that this account has made use of.
    pub(super) fn used_by(&self, account: &str) -> Rights {
        self.of(account).iter().map(Request::right).collect()
    }

    /// Fails if this account was refused anything, by its roles or by a policy. It must have asked for something.
    pub(super) fn nothing_was_forbidden_to(&self, account: &str) {
        let all = self.of(account);
        assert!(!all.is_empty(), "{account} has asked for nothing");
        let refused: Vec<String> = all
            .iter()
            .filter(|it| matches!(it.code, 401 | 403))
            .map(|it| format!("{} of {}: {}", it.right(), it.name, it.why))
            .collect();
        assert!(refused.is_empty(), "{account} was refused {refused:#?}");
    }
}

impl Request {
    fn read(event: &Value) -> Self {
        let text = |pointer| {
            let found = event.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let group = text("/objectRef/apiGroup");
        let mut resource = format!("{group}/{}", text("/objectRef/resource"));
        let subresource = text("/objectRef/subresource");
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        Self {
            verb: text("/verb"),
            resource,
            name: text("/objectRef/name"),
            code: event["responseStatus"]["code"].as_u64().unwrap(),
            why: text("/responseStatus/message"),
        }
    }

    /// What a role has to allow for it, as `group/resource verb`.
    pub(super) fn right(&self) -> String {
        format!("{} {}", self.resource, self.verb)
    }
}
