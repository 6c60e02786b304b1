//! Validation of arguments against a tool's JSON Schema (2020-12), with errors that name the field and the rule and never the value.

use jsonschema::{Draft, error::ValidationErrorKind};
use serde_json::Value;

use crate::denied::Denied;

/// A compiled schema.
pub struct Validator {
    compiled: jsonschema::Validator,
}

impl Validator {
    /// Compiles a schema. Network and file references are never followed (SPEC: basic, JSON Schema usage).
    pub fn compile(schema: &Value) -> Result<Validator, String> {
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .should_validate_formats(true)
            .build(schema)
            .map(|compiled| Validator { compiled })
            .map_err(|e| e.to_string())
    }

    /// Refuses arguments that break the schema.
    pub fn check(&self, arguments: &Value) -> Result<(), Denied> {
        // MUTATE(B1-schema): arguments go unvalidated
        if self.compiled.is_valid(arguments) {
            return Ok(());
        }
        let error = self.compiled.iter_errors(arguments).next();
        let (field, rule) = match &error {
            Some(error) => (error.instance_path().to_string(), rule(error.kind())),
            None => (String::new(), "does not match the schema".to_owned()),
        };
        Err(Denied::Invalid { field, rule })
    }
}

/// Says what must hold, from the schema's side only.
fn rule(kind: &ValidationErrorKind) -> String {
    use ValidationErrorKind as K;
    match kind {
        K::AdditionalProperties { .. } => "has a member that the tool does not know".into(),
        K::Required { property } => format!("the member {property} is required"),
        K::MaxLength { limit } => format!("must be at most {limit} characters"),
        K::MinLength { limit } => format!("must be at least {limit} characters"),
        K::MaxItems { limit } => format!("must have at most {limit} items"),
        K::MinItems { limit } => format!("must have at least {limit} items"),
        K::Maximum { limit } => format!("must be at most {limit}"),
        K::Minimum { limit } => format!("must be at least {limit}"),
        K::Pattern { pattern } => format!("must match the pattern {pattern}"),
        K::Format { format } => format!("must be a valid {format}"),
        K::Enum { options } => format!("must be one of {options}"),
        K::Type { kind } => match kind {
            jsonschema::error::TypeKind::Single(one) => format!("must be of type {one}"),
            jsonschema::error::TypeKind::Multiple(many) => {
                let names: Vec<String> = many.iter().map(|t| t.to_string()).collect();
                format!("must be of type {}", names.join(" or "))
            }
        },
        other => format!("breaks the rule `{}`", other.keyword()),
    }
}
