//! Writes an entity's fields as JSON, in the API or the wire form. The counterpart of [`super::fields`].

use serde_json::{Map, Value};

use crate::{Kind, NotReady, Target};

/// A JSON object being written.
pub(crate) struct Writer {
    map: Map<String, Value>,
    wire: bool,
    /// Fields that are written as empty lists where they hold nothing.
    empty: Vec<&'static str>,
    /// The first reason why there is no wire form.
    not_ready: Option<NotReady>,
}

impl Writer {
    /// Every field, defaults and nulls included.
    pub(crate) fn api() -> Writer {
        Writer::new(false)
    }

    fn new(wire: bool) -> Writer {
        Writer { map: Map::new(), wire, empty: Vec::new(), not_ready: None }
    }

    /// Only what differs from the defaults.
    pub(crate) fn wire() -> Writer {
        Writer::new(true)
    }

    /// Whether the wire form is being written.
    pub(crate) fn is_wire(&self) -> bool {
        self.wire
    }

    /// A field that is written in both forms.
    pub(crate) fn always(&mut self, name: &str, value: impl Into<Value>) {
        self.map.insert(name.to_owned(), value.into());
    }

    /// A field that the wire form leaves out at its default.
    pub(crate) fn unless<T: PartialEq + Into<Value>>(&mut self, name: &str, value: T, default: T) {
        if !(self.wire && value == default) {
            self.always(name, value);
        }
    }

    /// Says which lists of the record were given, and are empty.
    pub(crate) fn expect_empty(&mut self, names: &[&'static str]) {
        self.empty = names.to_vec();
    }

    /// An optional field; null when absent.
    pub(crate) fn optional<T: Into<Value>>(&mut self, name: &str, value: Option<T>) {
        if value.is_none() && self.empty_list(name) {
            return;
        }
        if !(self.wire && value.is_none()) {
            self.always(name, value.map_or(Value::Null, Into::into));
        }
    }

    /// Writes the field as an empty list, if it was given so.
    pub(crate) fn empty_list(&mut self, name: &str) -> bool {
        let is_empty = self.empty.contains(&name);
        if is_empty {
            self.always(name, Vec::<String>::new());
        }
        is_empty
    }

    /// A list; null when nobody set it, as Kong's clients expect.
    pub(crate) fn list(&mut self, name: &str, values: &[String]) {
        self.optional(name, (!values.is_empty()).then(|| values.to_vec()));
    }

    /// A reference to an entity of `kind`; null when absent.
    pub(crate) fn reference(&mut self, name: &'static str, kind: Kind, target: Option<&Target>) {
        if let Some(Target::Name(_)) = target {
            self.not_ready(NotReady::Unresolved { field: name });
        }
        self.optional(name, target.map(|target| target.to_json(kind)));
    }

    /// An object that is written field by field; the wire form leaves it out when all its fields are at their default.
    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::new(self.wire);
        write(&mut inner);
        self.inner(name, inner, false);
    }

    /// An object that is there, whatever is in it.
    pub(crate) fn whole_object(&mut self, name: &str, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::new(self.wire);
        write(&mut inner);
        self.inner(name, inner, true);
    }

    /// A list of objects; null where there are none.
    pub(crate) fn objects<R>(&mut self, name: &str, records: &[R], write: impl Fn(&R, &mut Writer)) {
        let mut list = Vec::with_capacity(records.len());
        for record in records {
            let mut inner = Writer::new(self.wire);
            write(record, &mut inner);
            if let Some(reason) = inner.not_ready {
                self.not_ready(reason);
            }
            list.push(Value::Object(inner.map));
        }
        self.optional(name, (!list.is_empty()).then_some(list));
    }

    fn inner(&mut self, name: &str, inner: Writer, is_there: bool) {
        if let Some(reason) = inner.not_ready {
            self.not_ready(reason);
        }
        if is_there || !(self.wire && inner.map.is_empty()) {
            self.always(name, inner.map);
        }
    }

    /// Drops what says nothing.
    pub(crate) fn drop_nulls(&mut self) {
        self.map.retain(|_, value| !value.is_null());
    }

    /// Notes that the entity has no wire form yet.
    pub(crate) fn not_ready(&mut self, reason: NotReady) {
        self.not_ready.get_or_insert(reason);
    }

    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    /// Compact JSON with sorted names: the same bytes whatever map `serde_json` is built with.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, NotReady> {
        match self.not_ready {
            Some(reason) => Err(reason),
            None => {
                let mut value = Value::Object(self.map);
                value.sort_all_objects();
                Ok(value.to_string().into_bytes())
            }
        }
    }
}
