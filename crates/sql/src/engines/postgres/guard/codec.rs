//! The byte form of a judgement, since text is judged in one process and its names are resolved in another.
//!
//! INVARIANT: bytes come from a process that has parsed hostile text: reading bounds every length and never panics.

use super::syntax::{ColumnUse, Columns, Name, Relation, Syntax};
use crate::{
    Operation,
    wire::{
        WireError,
        codec::{Reader, put_bytes, put_length, put_option, whole},
    },
};

const UNKNOWN: WireError = WireError::Malformed("a tag is unknown");

/// The operations and their tags.
const OPERATIONS: &[(Operation, u8)] = &[
    (Operation::Select, 0),
    (Operation::Explain, 1),
    (Operation::Show, 2),
    (Operation::Insert, 3),
    (Operation::Update, 4),
    (Operation::Delete, 5),
];

impl Syntax {
    /// The bytes that [`Syntax::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        let out = &mut bytes;
        let tag = OPERATIONS.iter().find(|(operation, _)| *operation == self.operation).map(|(_, tag)| *tag);
        out.push(tag.unwrap_or(u8::MAX));
        out.extend_from_slice(&self.fingerprint.to_be_bytes());
        out.extend_from_slice(&self.parameters.to_be_bytes());
        sequence(out, &self.scopes, |out, scope| out.extend_from_slice(&scope.to_be_bytes()));
        sequence(out, &self.relations, |out, relation| {
            put_name(out, &relation.name);
            put_option(out, relation.alias.as_deref(), put_text);
            sequence(out, &relation.renamed, |out, text| put_text(out, text));
            out.extend_from_slice(&relation.scope.to_be_bytes());
            out.extend([relation.whole, relation.outermost, relation.written].map(u8::from));
        });
        sequence(out, &self.columns, |out, column| {
            put_option(out, column.qualifier.as_ref(), put_name);
            let named = match &column.columns {
                Columns::All => None,
                Columns::Named(name) => Some(name.as_str()),
            };
            put_option(out, named, put_text);
            out.extend_from_slice(&column.scope.to_be_bytes());
            out.extend([column.projected, column.written].map(u8::from));
        });
        sequence(out, &self.functions, put_name);
        sequence(out, &self.types, put_name);
        sequence(out, &self.operators, put_name);
        for texts in [&self.derived, &self.joins, &self.labels] {
            sequence(out, texts, |out, text| put_text(out, text));
        }
        sequence(out, &self.function_aliases, |out, (alias, columns)| {
            put_text(out, alias);
            sequence(out, columns, |out, text| put_text(out, text));
        });
        put_option(out, self.setting.as_deref(), put_text);
        bytes
    }

    /// Reads what [`Syntax::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Syntax, WireError> {
        whole(bytes, |reader| {
            let tag = reader.u8()?;
            let operation = OPERATIONS.iter().find(|(_, known)| *known == tag).ok_or(UNKNOWN)?.0;
            let fingerprint = u128::from(reader.u64()?) << 64 | u128::from(reader.u64()?);
            Ok(Syntax {
                operation,
                fingerprint,
                parameters: reader.u32()?,
                scopes: reader.sequence(Reader::u32)?,
                relations: reader.sequence(|reader| {
                    Ok(Relation {
                        name: name(reader)?,
                        alias: reader.option(Reader::text)?,
                        renamed: reader.sequence(Reader::text)?,
                        scope: reader.u32()?,
                        whole: reader.flag()?,
                        outermost: reader.flag()?,
                        written: reader.flag()?,
                    })
                })?,
                columns: reader.sequence(|reader| {
                    Ok(ColumnUse {
                        qualifier: reader.option(name)?,
                        columns: reader.option(Reader::text)?.map_or(Columns::All, Columns::Named),
                        scope: reader.u32()?,
                        projected: reader.flag()?,
                        written: reader.flag()?,
                    })
                })?,
                functions: reader.sequence(name)?,
                types: reader.sequence(name)?,
                operators: reader.sequence(name)?,
                derived: reader.sequence(Reader::text)?,
                joins: reader.sequence(Reader::text)?,
                labels: reader.sequence(Reader::text)?,
                function_aliases: reader
                    .sequence(|reader| Ok((reader.text()?, reader.sequence(Reader::text)?)))?,
                setting: reader.option(Reader::text)?,
            })
        })
    }
}

fn sequence<T, C>(out: &mut Vec<u8>, items: C, mut put: impl FnMut(&mut Vec<u8>, T))
where
    C: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
{
    let items = items.into_iter();
    put_length(out, items.len());
    items.for_each(|item| put(out, item));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &Name) {
    put_option(out, name.schema.as_deref(), put_text);
    put_text(out, &name.name);
}

fn name(reader: &mut Reader<'_>) -> Result<Name, WireError> {
    Ok(Name { schema: reader.option(Reader::text)?, name: reader.text()? })
}
