//! Fixed vocabularies: enums whose variants are words in JSON.

/// An enum of words.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// Every variant, with its word.
    const WORDS: &'static [(&'static str, Self)];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// Makes an enum of words:
///
/// ```ignore
/// words! {
///     /// How requests are spread.
///     pub enum Algorithm {
///         /// To the target with the fewest open requests.
///         LeastConnections = "least-connections",
///     }
/// }
/// ```
macro_rules! words {
    (
        $(#[$about:meta])*
        pub enum $Words:ident {
            $( $(#[$doc:meta])* $Variant:ident = $word:literal, )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Words {
            $( $(#[$doc])* $Variant, )*
        }

        impl $crate::record::Word for $Words {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $Words::$Variant)),*];
        }

        impl $Words {
            /// As in JSON.
            pub fn as_str(self) -> &'static str {
                $crate::record::Word::word(self)
            }
        }
    };
}
pub(crate) use words;
