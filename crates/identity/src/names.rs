//! Names of subjects, tenants and roles: one narrow alphabet, since policies, logs and terminals all show them.

/// A name breaks the rule; `what` says whose name it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a {what} must be 1-64 characters of A-Z, a-z, 0-9, `.`, `_`, `@` or `-`, and start with a letter or digit"
)]
pub struct NameError {
    /// `subject`, `tenant` or `role`.
    pub what: &'static str,
}

/// Checks the name of a subject, tenant or role (`what`).
///
/// # Errors
/// Names the rule, never the value.
pub fn check_name(what: &'static str, name: &str) -> Result<(), NameError> {
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-');
    if starts && name.len() <= 64 && name.bytes().all(inside) { Ok(()) } else { Err(NameError { what }) }
}

/// A claim breaks the rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a claim has a name of 1-64 characters of A-Z, a-z, 0-9, `.`, `_`, `@` or `-` that starts with a letter or digit, and a value of 1-256 \
     characters, none of which is a control character"
)]
pub struct ClaimError;

/// Checks a claim that the operator makes about somebody. Its value becomes a parameter of queries, never part of their text.
///
/// # Errors
/// Names the rule, never the claim.
pub fn check_claim(name: &str, value: &str) -> Result<(), ClaimError> {
    let plain = !value.is_empty() && value.chars().count() <= 256 && !value.chars().any(char::is_control);
    if plain && check_name("claim", name).is_ok() { Ok(()) } else { Err(ClaimError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alphabet() {
        for good in ["alice", "a", "alice@example.com", "ci-runner_2", "7"] {
            assert_eq!(check_name("subject", good), Ok(()), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", " ", "-a", "a b", "a\n", "a|b", "é", "a\u{202e}b", "\"a\"", long.as_str()] {
            assert_eq!(check_name("subject", bad), Err(NameError { what: "subject" }), "{bad}");
        }
    }

    #[test]
    fn claims_are_plain_text_under_a_name() {
        for (name, value) in [("branch", "north"), ("cost.center", "4711"), ("team", "Größe & Söhne")] {
            assert_eq!(check_claim(name, value), Ok(()), "{name}");
        }
        let long = "x".repeat(257);
        for (name, value) in [("", "x"), ("a b", "x"), ("branch", ""), ("branch", "a\nb"), ("branch", &long)]
        {
            assert_eq!(check_claim(name, value), Err(ClaimError), "{name}={value}");
        }
    }
}
