//! What a token says, read member by member. Its form is checked here; whether it may say so, in `issuer`.

use countersign_core::json::Value;

use super::refused::TokenRefused;

/// The claims of a token whose signature was verified.
pub(crate) struct Claims<'c>(pub(crate) &'c Value<'c>);

/// Where a claim stands: a member by its name, or a JSON pointer such as `/realm_access/roles` (RFC 6901).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimPath(String);

/// The text is no claim's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a claim is named by 1-128 visible characters, or by a JSON pointer such as `/realm_access/roles`")]
pub struct NotAClaim;

impl ClaimPath {
    /// A claim's name, or a pointer if it begins with `/`.
    ///
    /// # Errors
    /// [`NotAClaim`] for an empty or long text, or one with spaces or control characters.
    pub fn parse(text: &str) -> Result<ClaimPath, NotAClaim> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=128).contains(&text.len()) && text != "/" {
            Ok(ClaimPath(text.to_owned()))
        } else {
            Err(NotAClaim)
        }
    }

    /// A member of this name.
    pub(super) fn member(name: &str) -> ClaimPath {
        ClaimPath(name.to_owned())
    }

    /// The name under which a claim is passed on: the last step of its path.
    pub(super) fn name(&self) -> &str {
        self.0.strip_prefix('/').and_then(|pointer| pointer.rsplit('/').next()).unwrap_or(&self.0)
    }
}

impl<'c> Claims<'c> {
    /// A claim that must be text.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&'c str>, TokenRefused> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(TokenRefused::Claim(name)),
        }
    }

    /// A time in seconds since 1970; fractions are cut off.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<u64>, TokenRefused> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let Value::Number(lexeme) = value else { return Err(TokenRefused::Claim(name)) };
        let whole = lexeme.split('.').next().unwrap_or_default();
        whole.parse().map(Some).map_err(|_| TokenRefused::Claim(name))
    }

    /// SPEC: RFC 7519 §4.1.3: one text, or a list of texts.
    pub(crate) fn audience(&self) -> Result<Vec<&'c str>, TokenRefused> {
        let refused = TokenRefused::Claim("aud");
        match self.0.get("aud").ok_or(refused.clone())? {
            Value::String(one) => Ok(vec![one]),
            Value::Array(items) => items.iter().map(|item| item.as_str().ok_or(refused.clone())).collect(),
            _ => Err(refused),
        }
    }

    /// The texts at a path: a list of texts, or one text that is split at spaces. Anything else holds none.
    pub(super) fn words(&self, path: &ClaimPath) -> Vec<&'c str> {
        match self.at(path) {
            Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).collect(),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The list of texts at a path, or the one text as it is.
    pub(super) fn entries(&self, path: &ClaimPath) -> Vec<&'c str> {
        match self.at(path) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The text form of a plain value at a path: text, number or truth value.
    pub(super) fn plain(&self, path: &ClaimPath) -> Option<String> {
        match self.at(path)? {
            Value::String(text) => Some(text.to_string()),
            Value::Number(lexeme) => Some((*lexeme).to_owned()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }

    fn at(&self, path: &ClaimPath) -> Option<&'c Value<'c>> {
        let Some(pointer) = path.0.strip_prefix('/') else { return self.0.get(&path.0) };
        pointer
            .split('/')
            .try_fold(self.0, |value, step| value.get(&step.replace("~1", "/").replace("~0", "~")))
    }
}
