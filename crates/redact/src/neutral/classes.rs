//! What a character is to a reader, by itself and by its neighbours.
// SPEC: Unicode 17 DerivedCoreProperties (Default_Ignorable_Code_Point), General_Category Cc, Cf, Zl, Zp, Co;
// SPEC: UTS #51 (emoji sequences), UTS #37 (ideographic variation), UAX #31 §2.3 (joiners in identifiers)

/// What becomes of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Seen by the reader: stays.
    Plain,
    /// Unseen, but its neighbours need it to be read: stays, and is passed over when secrets are searched.
    Joining,
    /// Unseen and without meaning: goes.
    Dropped,
    /// Unseen: is shown.
    Hidden,
}

/// The class of `c` between its neighbours.
pub(super) fn of(before: Option<char>, c: char, after: Option<char>) -> Class {
    if !is_hidden(c) {
        return Class::Plain;
    }
    match c {
        '\n' | '\t' => Class::Plain,
        '\r' if after == Some('\n') => Class::Dropped,
        '\u{200c}' | '\u{200d}' if before.is_some_and(joins_letters) && after.is_some_and(joins_letters) => {
            Class::Joining
        }
        '\u{200d}' if before.is_some_and(is_emoji_part) && after.is_some_and(is_emoji) => Class::Joining,
        '\u{fe0e}' | '\u{fe0f}' if before.is_some_and(is_emoji) => Class::Joining,
        '\u{fe0f}' if before.is_some_and(is_keycap) && after == Some('\u{20e3}') => Class::Joining,
        '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' if before.is_some_and(is_ideograph) => {
            Class::Joining
        }
        _ => Class::Hidden,
    }
}

/// Characters that no reader sees, or that change how others are shown. The prepended Arabic and Kaithi number signs
/// are format characters too, but have a shape: they stay.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'
        | '\u{fdd0}'..='\u{fdef}')
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

/// Letters and marks of scripts whose spelling uses the zero-width joiner and non-joiner: Arabic, Syriac, N'Ko, the
/// scripts of India, Sri Lanka, Myanmar, Cambodia and Mongolia.
fn joins_letters(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17b3}'
        | '\u{17b6}'..='\u{17d3}' | '\u{1820}'..='\u{18aa}' | '\u{fb50}'..='\u{fdcf}' | '\u{fe70}'..='\u{fefc}')
        && (c.is_alphabetic() || is_virama(c))
}

/// The signs that take the vowel from a letter; a joiner after them chooses its shape.
fn is_virama(c: char) -> bool {
    matches!(
        c,
        '\u{94d}'
            | '\u{9cd}'
            | '\u{a4d}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
            | '\u{dca}'
            | '\u{1039}'
            | '\u{103a}'
            | '\u{17d2}'
    )
}

/// Pictures and the symbols that emoji are made of.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}' | '\u{24c2}' | '\u{25a0}'..='\u{27bf}' | '\u{2900}'..='\u{297f}'
        | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// An emoji, or the selector that may follow it in a sequence.
fn is_emoji_part(c: char) -> bool {
    is_emoji(c) || c == '\u{fe0f}'
}

fn is_keycap(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '#' | '*')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
