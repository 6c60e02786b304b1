//! Pages of a result: an opaque cursor says where the next page begins, of what, for whom, and until when.
//!
//! Nothing is kept between two pages. The next page runs the statement again, passes over the rows that were returned, and compares their digest
//! with the one in the cursor. So the pages that a caller has read are together the beginning of one result, as the database gave it at the
//! last page; if it no longer begins so, because rows changed or come in another order, the page is refused. Every page is a call of its
//! own: authorized, limited and recorded like the first.
//!
//! INVARIANT: a cursor tells nothing and grants nothing. Its two codes can be made and checked by this process alone: one over place, expiry,
//! caller, tool and statement with its values, which is checked before anything runs; one over that and the rows passed over.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_core::{Principal, ToolError, ToolSpec};
use countersign_sql::{RowsDigest, Truncated, Value};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::engine::EngineRows;

/// How long a cursor may be used.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// Bytes of each code: 128 bits.
const CODE: usize = 16;

/// Makes and checks cursors.
pub(crate) struct Cursors {
    keyed: Hmac<Sha256>,
    started: Instant,
}

/// What a cursor is bound to: another caller, tool, statement or value is another result.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) tool: &'a ToolSpec,
    pub(crate) database: &'a str,
    pub(crate) sql: &'a str,
    pub(crate) params: &'a [Value],
}

/// A page that was asked for: the first, or one that a checked cursor names.
pub(crate) struct Page {
    /// Rows before it.
    skip: u64,
    /// The code over these rows that the cursor holds.
    head: Option<[u8; CODE]>,
    /// Stands for the subject.
    binding: [u8; 32],
}

impl Cursors {
    /// Under a new key. None if the system gives no randomness: then results have one page.
    pub(crate) fn new() -> Option<Cursors> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).ok()?;
        let keyed = Hmac::new_from_slice(&key).ok()?;
        Some(Cursors { keyed, started: Instant::now() })
    }

    /// The page that a call asks for.
    ///
    /// # Errors
    /// If the cursor is none of ours, of another result or caller, or too old.
    pub(crate) fn page(&self, subject: &Subject<'_>, cursor: Option<&str>) -> Result<Page, ToolError> {
        let binding = self.code(&binding(subject));
        let Some(cursor) = cursor else { return Ok(Page { skip: 0, head: None, binding }) };
        let Some(Parts { skip, until, seal, head }) = Parts::read(cursor) else { return Err(no_cursor()) };
        // MUTATE(A9-cursor-seal): anybody's cursor, and a made-up one, names a page
        if !self.is_code(&place(&binding, skip, until), &seal) {
            return Err(no_cursor());
        }
        // MUTATE(A9-cursor-expiry): a cursor is good for ever
        if self.now() > until {
            return Err(no_cursor());
        }
        Ok(Page { skip, head: Some(head), binding })
    }

    /// Checks that a page follows on those before it, and makes the cursor of the next page, if there is one to come.
    ///
    /// # Errors
    /// If the result no longer begins with the rows that were passed over.
    pub(crate) fn next(&self, page: &Page, rows: &EngineRows) -> Result<Option<String>, ToolError> {
        // MUTATE(A9-cursor-head): pages of different results are taken for one
        if page.head.is_some_and(|head| !self.is_code(&passed(page, page.skip, rows.skipped), &head)) {
            return Err(ToolError::failed(
                "the rows before this page have changed, or come in another order: begin anew without `cursor`, and \
                 with an ORDER BY that leaves no two rows equal",
            ));
        }
        let count = rows.values.len().checked_div(rows.columns.len()).unwrap_or(0) as u64;
        // Cut by time, or before its first row, a page would be cut at the same place again.
        let goes_on = matches!(rows.truncated, Some(Truncated::Rows | Truncated::Bytes)) && count > 0;
        if !goes_on {
            return Ok(None);
        }
        let whole = rows.values.chunks_exact(rows.columns.len().max(1));
        let digest = whole.fold(rows.skipped, |digest, row| digest.then(row));
        let skip = page.skip.saturating_add(count);
        let until = self.now().saturating_add(GOOD_FOR.as_secs());
        let parts = Parts {
            skip,
            until,
            seal: cut(self.code(&place(&page.binding, skip, until))),
            head: cut(self.code(&passed(page, skip, digest))),
        };
        Ok(Some(parts.write()))
    }

    /// Seconds since the start.
    fn now(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        self.keyed.clone().chain_update(bytes)
    }

    fn code(&self, bytes: &[u8]) -> [u8; 32] {
        self.mac(bytes).finalize().into_bytes().into()
    }

    /// Compares in constant time.
    fn is_code(&self, bytes: &[u8], code: &[u8; CODE]) -> bool {
        self.mac(bytes).verify_truncated_left(code).is_ok()
    }
}

impl Page {
    /// Rows to pass over.
    pub(crate) fn skip(&self) -> u64 {
        self.skip
    }
}

/// The refusal of what is no cursor, or not one for this call.
pub(crate) fn no_cursor() -> ToolError {
    ToolError::invalid(
        "/cursor",
        "must be the `next_cursor` of your last call of this tool with the same arguments, at most ten minutes old; leave it \
         out to begin anew",
    )
}

/// A cursor's content: 48 bytes.
struct Parts {
    skip: u64,
    until: u64,
    seal: [u8; CODE],
    head: [u8; CODE],
}

impl Parts {
    fn write(&self) -> String {
        let fields: [&[u8]; 4] =
            [&self.skip.to_be_bytes(), &self.until.to_be_bytes(), &self.seal, &self.head];
        URL_SAFE_NO_PAD.encode(fields.concat())
    }

    fn read(text: &str) -> Option<Parts> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (skip, rest) = bytes.split_first_chunk()?;
        let (until, rest) = rest.split_first_chunk()?;
        let (seal, rest) = rest.split_first_chunk()?;
        let head = rest.try_into().ok()?;
        Some(Parts { skip: u64::from_be_bytes(*skip), until: u64::from_be_bytes(*until), seal: *seal, head })
    }
}

/// INVARIANT: each of the texts under the key begins with its own word, and every field says how long it is.
fn binding(subject: &Subject<'_>) -> Vec<u8> {
    let Subject { principal, tool, database, sql, params } = subject;
    let params = RowsDigest::default().then(params);
    // MUTATE(A9-cursor-bound): a cursor of one caller is good for another
    let fields: [&[u8]; 8] = [
        principal.tenant().as_bytes(),
        principal.issuer().as_bytes(),
        principal.subject().as_bytes(),
        tool.name.as_bytes(),
        &tool.digest.0,
        database.as_bytes(),
        sql.as_bytes(),
        params.bytes(),
    ];
    let mut text = b"countersign cursor of ".to_vec();
    for field in fields {
        text.extend_from_slice(&(field.len() as u64).to_be_bytes());
        text.extend_from_slice(field);
    }
    text
}

fn place(binding: &[u8; 32], skip: u64, until: u64) -> Vec<u8> {
    [b"countersign cursor at ".as_slice(), binding, &skip.to_be_bytes(), &until.to_be_bytes()].concat()
}

fn passed(page: &Page, skip: u64, rows: RowsDigest) -> Vec<u8> {
    [b"countersign cursor past ".as_slice(), &page.binding, &skip.to_be_bytes(), rows.bytes()].concat()
}

fn cut(code: [u8; 32]) -> [u8; CODE] {
    let mut short = [0; CODE];
    short.iter_mut().zip(code).for_each(|(short, byte)| *short = byte);
    short
}

/// JSON Schema of the argument `cursor`.
pub(crate) fn cursor_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "string", "pattern": "^[A-Za-z0-9_-]{64}$",
        "description": "the `next_cursor` of the last answer, for the page after it; all other arguments as before"
    })
}

#[cfg(test)]
mod tests;
