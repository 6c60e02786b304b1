//! Pages of a sorted list. A cursor names the last entry shown, so that entries which come or go meanwhile shift nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_core::json::Value;

use crate::rpc::RpcError;

/// The entries after the cursor of `params`, and the next cursor. `items` are sorted by `key`.
pub(super) fn page<'i, T>(
    items: &'i [T],
    params: Option<&Value<'_>>,
    size: usize,
    key: impl Fn(&T) -> &str,
) -> Result<(&'i [T], Option<String>), RpcError> {
    let rest = match params.and_then(|params| params.get("cursor")) {
        None | Some(Value::Null) => items,
        Some(cursor) => {
            let last = cursor
                .as_str()
                .and_then(decode)
                .ok_or_else(|| RpcError::params("`cursor` is not one of ours"))?;
            let start = items.partition_point(|item| key(item) <= last.as_str());
            items.get(start..).unwrap_or_default()
        }
    };
    let shown = rest.get(..size.max(1)).unwrap_or(rest);
    let more = shown.len() < rest.len();
    Ok((shown, shown.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)))))
}

fn decode(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}
