//! The `Authorization` header: one scheme, one token, nothing else.

use crate::{failure::AuthFailure, oauth::Scheme};

/// More than any credential needs; longer headers are refused unread.
const MAX_HEADER: usize = 17 << 10;

/// The scheme and token of an `Authorization: Bearer TOKEN` or `DPoP TOKEN` header; the scheme's letter case does not matter.
///
/// SPEC: RFC 6750 §2.1, RFC 9449 §7.1, RFC 9110 §11.4. A transport must refuse a request that carries the header twice before it asks here.
///
/// # Errors
/// [`AuthFailure::Missing`] for an empty header, [`AuthFailure::BadHeader`] for another scheme, more than one token, or
/// characters that no token has.
pub fn read_authorization(header: &[u8]) -> Result<(Scheme, &str), AuthFailure> {
    if header.is_empty() {
        return Err(AuthFailure::Missing);
    }
    if header.len() > MAX_HEADER {
        return Err(AuthFailure::BadHeader);
    }
    let text = std::str::from_utf8(header).map_err(|_| AuthFailure::BadHeader)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthFailure::BadHeader)?;
    let scheme = match scheme {
        one if one.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        one if one.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
        _ => return Err(AuthFailure::BadHeader),
    };
    let token = token.trim_matches(' ');
    let token68 =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    if token.is_empty() || !token.bytes().all(token68) {
        return Err(AuthFailure::BadHeader);
    }
    Ok((scheme, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scheme_one_token() {
        assert_eq!(read_authorization(b"Bearer cs_abc"), Ok((Scheme::Bearer, "cs_abc")));
        assert_eq!(read_authorization(b"bEARER   cs_abc "), Ok((Scheme::Bearer, "cs_abc")));
        assert_eq!(read_authorization(b"DPoP a.b.c"), Ok((Scheme::Dpop, "a.b.c")));
        assert_eq!(read_authorization(b""), Err(AuthFailure::Missing));
        for bad in [
            b"cs_abc".as_slice(),
            b"Bearer",
            b"Bearer ",
            b"Basic cs_abc",
            b"Bearer a b",
            b"Bearer a,Bearer b",
            b"Bearer a\tb",
            b"Bearer \xff",
            "Bearer kéy".as_bytes(),
            &[b'a'; 20_000],
        ] {
            assert_eq!(read_authorization(bad), Err(AuthFailure::BadHeader), "{bad:?}");
        }
    }
}
