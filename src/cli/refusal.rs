//! What an API server said, in a sentence with the remedy. Pure; tested below.

use std::error::Error;

/// What the server said, or why it was not reached.
pub(super) fn said(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return chain(error);
    };
    let message = if status.message.is_empty() {
        format!("the server answered {} {}", status.code, status.reason)
    } else {
        status.message.clone()
    };
    let remedy = match status.code {
        401 => "; log in again, or choose another --context",
        403 if message.contains("ValidatingAdmissionPolicy") => "",
        403 => {
            "; whoever administers the cluster can give you the chart's roles sluice-viewer (to look) or sluice-admin (to change)"
        }
        404 if message.contains("could not find the requested resource") => {
            "; Sluice's CRDs are not installed on this cluster, or --context names another one"
        }
        409 => "; somebody else changed it meanwhile: look again, then run the command again",
        _ => "",
    };
    format!("{message}{remedy}")
}

/// An error with what caused it, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> kube::Error {
        let status = serde_json::json!({"code": code, "message": message, "reason": "R"});
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (code, message, remedy) in [
            (403, "pods is forbidden", "sluice-viewer"),
            (
                404,
                "the server could not find the requested resource",
                "CRDs are not installed",
            ),
            (409, "the object has been modified", "run the command again"),
        ] {
            let text = said(&api(code, message));
            assert!(text.starts_with(message) && text.contains(remedy), "{text}");
        }
        assert_eq!(said(&api(500, "")), "the server answered 500 R");
    }
}
