//! Records: structs whose fields are described once, and read, written, documented and searched by that description.
//!
//! [`record!`] makes a struct of a table. Each line has a field's documentation, its name and type, and a [`Field`]: how it is read,
//! what it is when it is absent, and what it looks like to clients. Nothing about a field stands anywhere else:
//!
//! ```ignore
//! record! {
//!     /// A host and port that an upstream balances over.
//!     pub struct UpstreamTarget {
//!         /// Share of the requests, relative to the other targets.
//!         pub weight: u16 = integer(100, 0..=65_535),
//!     }
//! }
//! ```

mod describe;
mod field;
mod fields;
mod secret;
mod secret_map;
mod words;
mod writer;

pub(crate) use describe::{Description, Property};
pub(crate) use field::*;
pub(crate) use fields::{Fields, Passwords, Source, read_id};
pub use secret::{Secret, SecretMut, Treatment};
pub(crate) use secret::{drawn, hashed, password, sealed, withheld};
pub use secret_map::SecretMap;
pub(crate) use secret_map::sealed_map;
pub(crate) use words::{Word, words};
pub(crate) use writer::Writer;

use crate::{Reference, ReferenceMut};

/// What [`record!`] makes of a table of fields.
pub(crate) trait Record: Rules + Sized {
    /// Reads every field, then checks [`Rules`]. After an error the value is a placeholder.
    fn read(from: &mut Fields<'_>) -> Self;
    /// Writes every field; the writer leaves out what its form does not show.
    fn write(&self, out: &mut Writer);
    /// Documentation, types and defaults, for clients.
    fn describe() -> Description;
    fn references<'v>(&'v self, found: &mut Vec<Reference<'v>>);
    fn references_mut<'v>(&'v mut self, found: &mut Vec<ReferenceMut<'v>>);
    fn secrets_mut<'v>(&'v mut self, found: &mut Vec<SecretMut<'v>>);
    fn tags(&self) -> &[String];
}

/// Rules that concern several fields of a record at once.
pub(crate) trait Rules {
    /// Notes in `fields` what does not fit together.
    fn check(&self, _fields: &mut Fields<'_>) {}
}

/// How one field of a record is read, written and documented.
pub(crate) trait Field {
    type Value;

    /// Reads the field called `name`. Always gives a value: after an error it is a placeholder.
    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Self::Value;

    fn write(&self, name: &'static str, value: &Self::Value, out: &mut Writer);

    /// `None` for a field that clients are not told of.
    fn describe(&self) -> Option<Property>;

    fn references<'v>(&self, _: &'static str, _: &'v Self::Value, _: &mut Vec<Reference<'v>>) {}

    fn references_mut<'v>(&self, _: &'static str, _: &'v mut Self::Value, _: &mut Vec<ReferenceMut<'v>>) {}

    fn secrets_mut<'v>(&self, _: &'static str, _: &'v mut Self::Value, _: &mut Vec<SecretMut<'v>>) {}

    /// The tags that the field holds; empty for every field but that of the tags.
    fn tags<'v>(&self, _: &'v Self::Value) -> &'v [String] {
        &[]
    }
}

/// The field itself; tells the compiler what its value is.
pub(crate) fn typed<T, F: Field<Value = T>>(field: F) -> F {
    field
}

/// Makes a struct and its [`Record`]. A field whose name is no Rust name says it `as "name"`. Fields under `besides` are read and
/// shown, and have one value only, which is not held. A record that `keeps empty_lists` shows as such what was given as an empty list.
macro_rules! record {
    (
        $(#[doc = $about:literal])*
        pub struct $Record:ident $(keeps $kept:ident)? {
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident $(as $name:literal)? : $Type:ty = $how:expr,
            )*
        }
        $(besides {
            $( $(#[doc = $other_doc:literal])* $other:ident = $other_how:expr, )*
        })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Record {
            $( $(#[doc = $doc])* pub $field: $Type, )*
            $( $kept: Vec<&'static str>, )?
        }

        impl $crate::record::Record for $Record {
            fn read(from: &mut $crate::record::Fields<'_>) -> Self {
                #[allow(unused_imports)]
                use $crate::record::{Field as _, Rules as _};
                #[allow(unused_mut)]
                let mut record = Self {
                    $( $field: $crate::record::typed::<$Type, _>($how).read($crate::record::record!(@name $field $($name)?), from), )*
                    $( $kept: Vec::new(), )?
                };
                $($( $other_how.read(stringify!($other), from); )*)?
                $( record.$kept = from.empty_lists(); )?
                record.check(from);
                record
            }

            fn write(&self, out: &mut $crate::record::Writer) {
                #[allow(unused_imports)]
                use $crate::record::Field as _;
                $( out.expect_empty(&self.$kept); )?
                $( $crate::record::typed::<$Type, _>($how).write($crate::record::record!(@name $field $($name)?), &self.$field, out); )*
                $($( $other_how.write(stringify!($other), &(), out); )*)?
            }

            fn describe() -> $crate::record::Description {
                #[allow(unused_imports)]
                use $crate::record::Field as _;
                let mut description = $crate::record::Description::new(&[$($about),*]);
                $( description.add($crate::record::record!(@name $field $($name)?), &[$($doc),*], $crate::record::typed::<$Type, _>($how).describe()); )*
                $($( description.add(stringify!($other), &[$($other_doc),*], $other_how.describe()); )*)?
                description
            }

            #[allow(unused_variables)]
            fn references<'v>(&'v self, found: &mut Vec<$crate::Reference<'v>>) {
                #[allow(unused_imports)]
                use $crate::record::Field as _;
                $( $crate::record::typed::<$Type, _>($how).references($crate::record::record!(@name $field $($name)?), &self.$field, found); )*
            }

            #[allow(unused_variables)]
            fn references_mut<'v>(&'v mut self, found: &mut Vec<$crate::ReferenceMut<'v>>) {
                #[allow(unused_imports)]
                use $crate::record::Field as _;
                $( $crate::record::typed::<$Type, _>($how).references_mut($crate::record::record!(@name $field $($name)?), &mut self.$field, found); )*
            }

            #[allow(unused_variables)]
            fn secrets_mut<'v>(&'v mut self, found: &mut Vec<$crate::SecretMut<'v>>) {
                #[allow(unused_imports)]
                use $crate::record::Field as _;
                $( $crate::record::typed::<$Type, _>($how).secrets_mut($crate::record::record!(@name $field $($name)?), &mut self.$field, found); )*
            }

            fn tags(&self) -> &[String] {
                #[allow(unused_imports)]
                use $crate::record::Field as _;
                let fields: &[&[String]] = &[$( $crate::record::typed::<$Type, _>($how).tags(&self.$field), )*];
                fields.iter().copied().find(|tags| !tags.is_empty()).unwrap_or_default()
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
pub(crate) use record;
