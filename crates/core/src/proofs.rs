//! Proofs by the compiler: each pair shows that the legitimate form compiles and the forged one does not.
//!
//! A permit can be read by the tool that receives it, but not made:
//! ```
//! fn read(permit: countersign_core::Permit) -> String { permit.call().to_string() }
//! ```
//! ```compile_fail
//! fn forge(call: countersign_core::CallId) -> countersign_core::Permit { countersign_core::Permit { call } }
//! ```
//! ```compile_fail
//! fn forge(old: &countersign_core::Permit) -> countersign_core::Permit { old.clone() }
//! ```
//! ```compile_fail
//! use countersign_core::pipeline::permit::Permit;
//! ```
//! ```compile_fail
//! fn forge(p: std::sync::Arc<countersign_core::Principal>, plan: countersign_core::Plan, call: countersign_core::CallId) {
//!     countersign_core::Permit::mint(call, p, plan, Vec::new());
//! }
//! ```
//! ```compile_fail
//! fn forge(call: countersign_core::CallId) -> countersign_core::PreviewPermit { countersign_core::PreviewPermit { call } }
//! ```
//!
//! A raw output can be built by a tool, but neither printed, serialised, taken apart, nor turned into a reply:
//! ```
//! use countersign_core::{Label, Output, Part};
//! fn build() -> Output { Output::new(Label::RETRIEVED, vec![Part::Text("x".into())]).error() }
//! ```
//! ```compile_fail
//! fn show(output: countersign_core::Output) { println!("{output:?}"); }
//! ```
//! ```compile_fail
//! fn show(output: countersign_core::Output) { println!("{output}"); }
//! ```
//! ```compile_fail
//! fn show(output: countersign_core::Output) -> String { serde_json::to_string(&output).unwrap() }
//! ```
//! ```compile_fail
//! fn open(output: countersign_core::Output) { let _ = output.parts; }
//! ```
//! ```compile_fail
//! fn reply(output: countersign_core::Output) -> countersign_core::Reply { countersign_core::Reply::redacted(output, &Default::default()).unwrap() }
//! ```
//!
//! A plan is sealed by the pipeline alone:
//! ```
//! fn read(plan: &countersign_core::Plan) -> countersign_core::Digest { plan.digest() }
//! ```
//! ```compile_fail
//! fn seal(spec: std::sync::Arc<countersign_core::ToolSpec>) -> countersign_core::Plan {
//!     countersign_core::Plan::seal(spec, countersign_core::Arguments::empty(), countersign_core::Planned::nothing())
//! }
//! ```
