//! How the use of an approval is accounted for.

use super::*;

fn failed(failure: Failure) -> ToolError {
    Denied::Failed { failure, public: String::new() }.into()
}

#[test]
fn only_a_refusal_of_the_tool_did_not_happen() {
    let executing = Held { executing: true, ..Held::default() };
    let end = |held: &Held, error: ToolError| held.end::<()>(&Err(error));
    for doubtful in [
        failed(Failure::Deadline),
        failed(Failure::Cancelled),
        failed(Failure::Internal),
        Denied::Unavailable(Subsystem::Sandbox).into(),
    ] {
        assert_eq!(end(&executing, doubtful.clone()), End::InDoubt, "{doubtful:?}");
        assert_eq!(end(&Held::default(), doubtful), End::Undone, "it had not begun");
    }
    assert_eq!(end(&executing, failed(Failure::Tool)), End::Undone);
    assert_eq!(executing.end(&Ok(())), End::Done);
    // What fails after the effect (a result that is too large, say) does not undo it.
    let executed = Held { executing: true, executed: true, ..Held::default() };
    assert_eq!(end(&executed, failed(Failure::Tool)), End::Done);
}
