//! Parts that add up to the whole, and encodings.

use countersign_egress::http::{HeaderMap, HeaderValue, StatusCode};

use super::*;

fn decoded(content_type: &'static str, body: &'static [u8]) -> String {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let url = "https://example.com/".into();
    let response = Response { status: StatusCode::OK, headers, body: body.into(), url };
    decode(&response, &response.content_type().unwrap())
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
        ("text/plain; charset=Shift_JIS", b"\x93\xfa\x96\x7b", "日本"),
        ("text/plain; charset=gbk", b"\xd6\xd0\xce\xc4", "中文"),
        ("text/plain; charset=koi8-r", b"\xcd\xc9\xd2", "мир"),
        ("text/plain; charset=utf-16le", b"h\0i\0", "hi"),
        // A mark outweighs what the server says.
        ("text/plain; charset=koi8-r", b"\xff\xfeh\0i\0", "hi"),
    ] {
        assert_eq!(decoded(content_type, body), text, "{content_type}");
    }
}

#[test]
fn a_page_can_name_its_encoding() {
    for (content_type, body, text) in [
        ("text/html", &b"<meta charset=windows-1251>\xec"[..], "м"),
        ("text/html", b"<META content='text/html; CharSet = euc-kr ' http-equiv=x>\xc7\xd1", "한"),
        ("application/xhtml+xml", b"<meta charset=\"koi8-r\"/>\xcd", "м"),
        // The server's word outweighs the page's, and other types have none.
        ("text/html; charset=utf-8", b"<meta charset=koi8-r>\xc3\xb1", "ñ"),
        ("text/plain", b"<meta charset=koi8-r>\xc3\xb1", "ñ"),
        ("text/html", b"<meta charset=nonsense><meta charset=koi8-r>\xcd", "м"),
        ("text/html", b"<meta charset=utf-16><p>ascii", "ascii"),
        ("text/html", b"<p charset=koi8-r>\xc3\xb1", "ñ"),
    ] {
        let found = decoded(content_type, body);
        assert!(found.ends_with(text), "{content_type}: {found}");
    }
}
