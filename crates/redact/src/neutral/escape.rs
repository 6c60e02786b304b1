//! Finds the end of terminal escape sequences, so that they are neutralised as one piece and hide no secret.
// SPEC: ECMA-48 §5.4 (control sequences), §5.6 (control strings)

/// The longest string (title, link, device control) that is taken as one sequence; a longer one is text.
const MAX_STRING: usize = 4096;

/// The bytes of the sequence that `text` starts with: `ESC [ … m`, `ESC ] … BEL` and their one-character introducers.
/// `None` when there is none, or it does not end: then the introducer alone is a control character like others.
pub(super) fn sequence_length(text: &str) -> Option<usize> {
    let mut chars = text.chars();
    let (introducer, head) = match chars.next()? {
        '\u{1b}' => (chars.next()?, 2),
        '\u{9b}' => ('[', 2),
        '\u{9d}' => (']', 2),
        '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => ('P', 2),
        _ => return None,
    };
    let body = text.get(head..)?.as_bytes();
    match introducer {
        '[' => control(body).map(|length| head + length),
        ']' | 'P' | 'X' | '^' | '_' => string(body).map(|length| head + length),
        // Escape with intermediate bytes, such as the choice of a character set.
        ' '..='/' => body.first().filter(|byte| (b'0'..=b'~').contains(byte)).map(|_| head + 1),
        '0'..='~' => Some(head),
        _ => None,
    }
}

/// Parameters, intermediates and one final byte.
fn control(body: &[u8]) -> Option<usize> {
    let parameters = body.iter().take_while(|byte| (b'0'..=b'?').contains(byte)).count();
    let intermediates = body.iter().skip(parameters).take_while(|byte| (b' '..=b'/').contains(byte)).count();
    let end = parameters + intermediates;
    body.get(end).filter(|byte| (b'@'..=b'~').contains(byte)).map(|_| end + 1)
}

/// Up to and with BEL, `ESC \` or ST (U+009C).
fn string(body: &[u8]) -> Option<usize> {
    let body = body.get(..MAX_STRING.min(body.len()))?;
    (0..body.len()).find_map(|at| match body.get(at..)? {
        [0x07, ..] => Some(at + 1),
        [0x1b, b'\\', ..] | [0xc2, 0x9c, ..] => Some(at + 2),
        _ => None,
    })
}
