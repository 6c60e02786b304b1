//! The vocabulary of Countersign and the one pipeline that every call takes.
//!
//! Nothing here does I/O: the policy decision point, the audit log, the clock, entropy and the tools come in through the traits of
//! [`ports`] and [`tool`]. Start reading at [`pipeline`].
#![forbid(unsafe_code)]

pub mod approval;
pub mod call;
pub mod decision;
pub mod denied;
pub mod ids;
pub mod json;
pub mod label;
pub mod limits;
pub mod once;
pub mod output;
pub mod permission;
pub mod pipeline;
pub mod plan;
pub mod ports;
pub mod principal;
pub mod proofs;
pub mod record;
pub mod registry;
pub mod schema;
pub mod scopes;
pub mod stops;
pub mod tool;

pub use call::{Arguments, Call, Origin, Target, Transport};
pub use decision::{CallQuestion, Decision, Foreseen, Phase, PlanFacts, Verdict};
pub use denied::{Denied, Failure, Refused, Standing, Subsystem};
pub use ids::{CallId, Digest, RunId};
pub use label::{Confidentiality, Integrity, Label};
pub use output::{Block, Cell, Column, Output, Part, Reply, RowSet, RowShape, Shape, Truncation};
pub use permission::Permission;
pub use pipeline::{Permit, Pipeline, PreviewPermit};
pub use plan::{Access, Action, Effect, Need, Object, Plan, Planned};
pub use principal::{AuthMethod, Principal, PrincipalKind};
pub use tool::{CallIo, PowerClass, Preview, Sensitivity, Tool, ToolError, ToolSpec};
