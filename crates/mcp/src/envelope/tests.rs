//! What is no message is refused, with the right code.

use super::*;

fn read(text: &str) -> Result<Message<'_>, Malformed> {
    parse(text.as_bytes(), Limits::default())
}

#[test]
fn the_three_kinds_of_message_are_told_apart() {
    assert!(matches!(read(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{}}"#), Ok(Message::Request(_))));
    assert!(matches!(read(r#"{"jsonrpc":"2.0","method":"a"}"#), Ok(Message::Notification { .. })));
    assert!(matches!(
        read(r#"{"jsonrpc":"2.0","id":1,"result":1}"#),
        Ok(Message::Response(Response { result: Ok(_), .. }))
    ));
    assert!(matches!(
        read(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#),
        Ok(Message::Response(Response { result: Err(()), .. }))
    ));
}

#[test]
fn ids_keep_their_lexeme_and_strings_are_one_text_however_they_are_escaped() {
    let id = |text: &str| match read(&format!(r#"{{"jsonrpc":"2.0","id":{text},"method":"a"}}"#)) {
        Ok(Message::Request(request)) => request.id,
        other => panic!("{other:?}"),
    };
    assert_eq!(&*id("9007199254740993").0, "9007199254740993");
    assert_ne!(id("9007199254740993"), id("9007199254740992"));
    assert_eq!(id(r#""\u0061""#), id(r#""a""#));
    assert_ne!(id(r#""1""#), id("1"));
}

#[test]
fn a_refusal_names_the_id_when_it_could_be_read() {
    let refused = read(r#"{"jsonrpc":"1.0","id":7,"method":"a"}"#).unwrap_err();
    assert_eq!(
        refused.error.frame(refused.id.as_ref()),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"`jsonrpc` must be \"2.0\""}}"#
    );
    let refused = read(r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#).unwrap_err();
    assert_eq!(refused.id, None);
}
