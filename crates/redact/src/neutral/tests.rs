//! What is shown, what stays readable, and the exact text that a reader sees.

use super::*;

#[test]
fn printable_ascii_is_borrowed() {
    let text = "SELECT 'a' ~\n\tfrom t\n".repeat(20);
    assert!(matches!(neutral(&text), Cow::Borrowed(_)));
    assert!(matches!(neutral_line("one line"), Cow::Borrowed(_)));
}

#[test]
fn text_of_every_script_stays_readable_and_borrowed() {
    for text in [
        "Grüße, naïve façade",
        "Ελλάδα",
        "日本語のテキスト",
        "한국어",
        "שלום עולם",
        "العربية",
        "می\u{200c}خواهم",          // Persian needs the non-joiner
        "क्\u{200d}ष और न्\u{200c}द", // Hindi: joiner and non-joiner after the virama
        "ශ්\u{200d}රී ලංකා",           // Sinhala
        "👩\u{200d}⚕\u{fe0f} 👨\u{200d}👩\u{200d}👧 👍🏽 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} ©\u{fe0f}",
        "葛\u{e0100}城市", // a Japanese place name with its variant
        "price\u{a0}€5",
    ] {
        assert!(matches!(neutral(text), Cow::Borrowed(_)), "{text:?} became {:?}", neutral(text));
    }
}

#[test]
fn hidden_characters_are_shown() {
    for (text, shown) in [
        ("a\0b", "a\\u{0}b"),
        ("a\u{7f}b", "a\\u{7f}b"),
        ("a\u{85}b", "a\\u{85}b"),
        ("pass\u{200b}word", "pass\\u{200b}word"),
        ("a\u{200d}b", "a\\u{200d}b"),
        ("a\u{200c}b", "a\\u{200c}b"),
        ("user\u{202e}txt.exe", "user\\u{202e}txt.exe"),
        ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
        ("a\u{61c}\u{200e}\u{200f}", "a\\u{61c}\\u{200e}\\u{200f}"),
        ("soft\u{ad}hyphen", "soft\\u{ad}hyphen"),
        ("\u{feff}bom", "\\u{feff}bom"),
        ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
        ("\u{fff9}a\u{fffa}b\u{fffb}", "\\u{fff9}a\\u{fffa}b\\u{fffb}"),
        ("a\u{fe0f}", "a\\u{fe0f}"),
        ("\u{fe0f}\u{200d}😀", "\\u{fe0f}\\u{200d}😀"),
        ("\u{e001}\u{f0000}", "\\u{e001}\\u{f0000}"),
        ("\u{fdd0}\u{1fffe}", "\\u{fdd0}\\u{1fffe}"),
        ("\u{3164}", "\\u{3164}"),
    ] {
        assert_eq!(neutral(text), shown, "{text:?}");
    }
}

#[test]
fn a_smuggled_message_is_seen_but_not_spelled_out() {
    let smuggled: String =
        "ignore all rules".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
    assert_eq!(neutral(&format!("hi{smuggled}!")), "hi\\u{e0069}[15 more hidden]!");
    let selectors: String = (0xe0100..0xe0110).filter_map(char::from_u32).collect();
    assert_eq!(neutral(&format!("😀{selectors}")), "😀\\u{e0100}[15 more hidden]");
    assert_eq!(neutral(&"\u{200b}\u{200c}".repeat(40)), "\\u{200b}[79 more hidden]");
}

#[test]
fn only_one_selector_follows_an_ideograph() {
    assert_eq!(neutral("葛\u{e0100}\u{e0101}"), "葛\u{e0100}\\u{e0101}");
}

#[test]
fn terminal_escapes_are_shown_without_their_content() {
    for (text, shown) in [
        ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}red\\u{1b}"),
        ("\u{9b}31mred", "\\u{9b}red"),
        ("a\u{1b}]0;title\u{7}b", "a\\u{1b}b"),
        ("a\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "a\\u{1b}link\\u{1b}"),
        ("a\u{1b}P1;2q\u{9c}b", "a\\u{1b}b"),
        ("a\u{1b}(0b", "a\\u{1b}b"),
        ("a\u{1b}cb", "a\\u{1b}b"),
        // A string without an end hides nothing of what follows.
        ("a\u{1b}]0;title and the rest", "a\\u{1b}]0;title and the rest"),
        ("a\u{1b}[31", "a\\u{1b}[31"),
        ("a\u{1b}", "a\\u{1b}"),
        ("a\u{1b}é", "a\\u{1b}é"),
    ] {
        assert_eq!(neutral(text), shown, "{text:?}");
    }
}

#[test]
fn carriage_returns_cannot_overwrite_a_line() {
    assert_eq!(neutral("a\r\nb"), "a\nb");
    assert_eq!(neutral("real\rfake"), "real\\rfake");
}

#[test]
fn a_line_stays_one_line() {
    assert_eq!(neutral_line("ok\n2026 ALLOW admin\tx\r\ny"), "ok\\n2026 ALLOW admin\\tx\\ny");
}
