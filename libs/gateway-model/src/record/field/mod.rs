//! The kinds of field that a [`record!`](super::record) can have.

mod choice;
mod compatible;
mod nested;
mod number;
mod reference;
mod text;

pub(crate) use choice::{OneWord, boolean, optional_boolean, word, word_list, word_or_null, word_sequence};
pub(crate) use compatible::{absent, fixed};
pub(crate) use nested::{object, object_list, optional_object, records, schema_of, sparse_object};
pub(crate) use number::{
    decimal, further_number, integer, integer_list, integer_of, number, number_or_minus_one,
    optional_decimal, optional_integer, optional_number, required_integer,
};
pub(crate) use reference::{id_list, reference};
pub(crate) use text::{MAP_ENTRIES_MAX, foreign_id, list, name, tags, text, text_lists, text_map};
