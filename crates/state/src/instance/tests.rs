//! Only what can be seen from here is ever called gone.

use super::*;

#[test]
fn only_a_process_of_this_machine_is_ever_called_gone() {
    let mine = current();
    assert!(!is_gone(&mine), "this very process");
    let (place, _) = mine.split_once(':').unwrap();
    // Process number 1 started long before this moment, and no number is as large as the other.
    assert!(is_gone(&format!("{place}:1:999999999999")), "another process had that number");
    assert!(is_gone(&format!("{place}:4194999:1")), "nobody has that number");
    assert!(!is_gone("0b5f1a3e-elsewhere.4026531836:1:999999999999"), "another machine");
    for unknown in ["", "1:1", "a:b:c", "a:1:1:1"] {
        assert!(!is_gone(unknown), "{unknown}");
    }
}
