//! What a keeper says to `sluice acquire`, one line of JSON each.

use serde::{Deserialize, Serialize};

use super::Acquired;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Line {
    /// Why it is not granted yet.
    Waiting(String),
    /// It is held.
    Granted(Acquired),
    /// It is not, and will not be.
    Failed {
        /// The exit code that says so.
        code: u8,
        /// Why.
        message: String,
    },
}

impl Line {
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn text(&self) -> String {
        // Strings and numbers can be written as JSON.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_the_way() {
        let acquired = Acquired {
            claim: "c".to_owned(),
            namespace: "team".to_owned(),
            tokens: "gpu=1".to_owned(),
            lock_tokens: String::new(),
            keeper: 7,
        };
        let failed = Line::Failed {
            code: 124,
            message: "late\nand long".to_owned(),
        };
        for line in [
            Line::Waiting("no room".to_owned()),
            Line::Granted(acquired),
            failed,
        ] {
            let text = line.text();
            assert_eq!(text.matches('\n').count(), 1);
            assert_eq!(Line::parse(text.trim()), Some(line));
        }
        assert_eq!(Line::parse("nonsense"), None);
    }
}
