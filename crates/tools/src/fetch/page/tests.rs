//! Parts that add up to the whole, and encodings.

use countersign_egress::http::{HeaderMap, HeaderValue, StatusCode};

use super::*;

fn response(content_type: &'static str, body: &'static [u8]) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Response { status: StatusCode::OK, headers, body: body.into(), url: "https://example.com/".into() }
}

#[test]
fn parts_add_up_to_the_text() {
    let text = "añb€c😀d";
    let mut offset = 0;
    let mut whole = String::new();
    loop {
        let page = Page::cut(text, offset, 2);
        whole.push_str(page.text);
        assert_eq!(page.total, 7);
        match page.next {
            Some(next) => offset = next,
            None => break,
        }
    }
    assert_eq!(whole, text);
    let beyond = Page::cut(text, 100, 5);
    assert_eq!(beyond, Page { text: "", offset: 7, total: 7, next: None });
    assert_eq!(Page::cut("", 0, 5).next, None);
    assert_eq!(Page::cut(text, 0, usize::MAX).text, text);
}

#[test]
fn encodings_are_what_the_server_says() {
    for (content_type, body, text) in [
        ("text/plain; charset=UTF-8", "ñ€".as_bytes(), "ñ€"),
        ("text/plain", b"\xef\xbb\xbfx", "x"),
        ("text/plain; charset=\"ISO-8859-1\"", b"\xf1\x80", "ñ€"),
        ("text/plain;CHARSET=windows-1252", b"\x93x\x94", "“x”"),
        ("text/plain; charset=utf-8", b"\xf1x", "\u{fffd}x"),
        ("text/plain; charset=unknown", b"x", "x"),
    ] {
        assert_eq!(decode(&response(content_type, body)), text, "{content_type}");
    }
}
