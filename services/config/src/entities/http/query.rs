//! Query parameters of `/core-entities`. Names are those of Kong's Admin API and of Konnect's, as decK and Terraform send them.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{Kind, UniqueKey};
use url::form_urlencoded;
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;
use web::{Given, Parameter, Problem, QueryParameters, TextFilter, Values};

use super::members::Side;
use crate::entities::store::{Filter, Tags};

/// Items of a page if the request does not say, and the most that it may say.
const SIZE_DEFAULT: u32 = 100;
const SIZE_MAX: u64 = 1000;
/// Most tags that a list can be filtered by.
const TAGS_MAX: usize = 5;
/// Longest list of tags, characters.
const TAGS_CHARS_MAX: usize = 1024;

/// The field that most kinds have their name in.
const NAME: &str = "name";

/// What a list of entities is asked for.
pub struct ListQuery {
    /// Most items of the page.
    pub size: u32,
    /// The id behind which the page begins.
    pub after: Option<Uuid>,
    /// What the entities have to be like. The parent is not read from the query.
    pub filter: Filter,
    /// The query of the next page, without `size` and `offset`: each pair begins with `&`.
    pub rest: String,
}

/// The fields that a list of `kind` can be filtered by without brackets, as Kong's Admin API does by `custom_id`: those that are
/// unique and cannot stand in a path.
fn plain_fields(kind: Kind) -> impl Iterator<Item = &'static str> {
    kind.shown_unique_fields().filter(move |field| kind.name_field() != Some(field))
}

/// `name`, by which every kind is filtered whose entities have names, also where the field is called otherwise. Answers that field.
/// Example: the username of a consumer.
fn other_name(kind: Kind) -> Option<&'static str> {
    let RefOr::T(Schema::Object(body)) = kind.schema() else { return None };
    kind.name_field().filter(|_| !body.properties.contains_key(NAME))
}

/// `name`, where entities of `kind` may share one: a list can be filtered by it as by unique fields. Example: all plugins that are called
/// `key-auth`.
fn shared_name(kind: Kind) -> Option<&'static str> {
    let RefOr::T(Schema::Object(body)) = kind.schema() else { return None };
    let is_unique = kind.shown_unique_fields().any(|field| field == NAME);
    (!is_unique && body.properties.contains_key(NAME)).then_some(NAME)
}

impl ListQuery {
    /// What a list of `kind` takes.
    pub fn parameters(kind: Kind) -> Vec<Parameter> {
        let size = Values::Number { min: 1, max: SIZE_MAX };
        let tags = "Only entities that have all of these tags, separated by commas, or one of them, separated by slashes; at most 5.";
        let mut parameters = vec![
            Parameter::new("size", size, "Most items of a page. It has fewer where they are large.", "1000")
                .default("100"),
            Parameter::text(
                "offset",
                "Where the page begins: `offset` of the page before, unchanged.",
                "AZLTpFtsfY6fABEiM0RVZg",
            ),
            Parameter::new("tags", Values::Text { chars_max: TAGS_CHARS_MAX }, tags, "team-a,production"),
        ];
        for field in kind.shown_unique_fields().chain(shared_name(kind)).chain(other_name(kind).map(|_| NAME))
        {
            parameters.extend(TextFilter::parameters(field, "orders"));
        }
        for field in plain_fields(kind) {
            parameters.push(Parameter::text(field, format!("The same as `filter[{field}][eq]`."), "orders"));
        }
        parameters
    }

    /// Reads what was given of a list of `kind`.
    pub fn read(kind: Kind, given: &Given) -> Result<Self, Problem> {
        let mut filter =
            Filter { tags: read_tags(given.text("tags").unwrap_or_default())?, ..Filter::default() };
        for field in kind.shown_unique_fields() {
            let asked = TextFilter::read(given, field)?;
            let is_plain = plain_fields(kind).any(|plain| plain == field);
            let plain = if is_plain { given.text(field) } else { None };
            let of = |value: String| UniqueKey::new(field, &value);
            filter.keys.extend(asked.eq.into_iter().chain(plain.map(str::to_owned)).map(of));
            filter.contains.extend(asked.contains.map(of));
        }
        if let Some(field) = other_name(kind) {
            let asked = TextFilter::read(given, NAME)?;
            filter.keys.extend(asked.eq.map(|value| UniqueKey::new(field, &value)));
            filter.contains.extend(asked.contains.map(|value| UniqueKey::new(field, &value)));
        }
        if let Some(field) = shared_name(kind) {
            let asked = TextFilter::read(given, field)?;
            filter.values.extend(asked.eq.map(|value| (field, value)));
            filter.parts.extend(asked.contains.map(|part| (field, part)));
        }
        let mut rest = form_urlencoded::Serializer::new(String::new());
        rest.extend_pairs(given.pairs().filter(|(name, _)| !["size", "offset"].contains(name)));
        let rest = rest.finish();
        Ok(Self {
            size: given.number("size").unwrap_or(SIZE_DEFAULT),
            after: given.text("offset").filter(|offset| !offset.is_empty()).map(read_offset).transpose()?,
            filter,
            rest: if rest.is_empty() { rest } else { format!("&{rest}") },
        })
    }
}

fn read_offset(offset: &str) -> Result<Uuid, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(offset).ok();
    bytes
        .and_then(|bytes| Uuid::from_slice(&bytes).ok())
        .ok_or_else(|| Problem::invalid_parameter("offset", "use `offset` of the previous answer, unchanged"))
}

/// `a,b` means all of them, and `a/b` any.
fn read_tags(tags: &str) -> Result<Tags, Problem> {
    let refuse = |reason: &str| Err(Problem::invalid_parameter("tags", reason));
    let (separator, of): (char, fn(Vec<String>) -> Tags) = match (tags.contains(','), tags.contains('/')) {
        (true, true) => {
            return refuse("separate tags by commas for all of them, or by slashes for any; not by both");
        }
        (false, true) => ('/', Tags::Any),
        _ => (',', Tags::All),
    };
    let tags: Vec<String> = tags.split(separator).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    if tags.len() > TAGS_MAX { refuse(&format!("at most {TAGS_MAX}")) } else { Ok(of(tags)) }
}

/// What decK adds to requests about one entity.
pub struct Extras;

impl Extras {
    /// Of a write of a credential or of what it belongs to.
    pub fn in_writes(kind: Kind) -> Vec<Parameter> {
        let meaning = match kind {
            Kind::BasicAuth => {
                "The password is a hash already: one of Argon2id, or the 40 hex digits that Kong keeps."
            }
            _ => "Accepted for decK; changes nothing.",
        };
        let skip_hash = Parameter::new("skip_hash", Values::Boolean, meaning, "true").default("false");
        if kind.grants_access() { vec![skip_hash] } else { Vec::new() }
    }

    /// Of a read of something that consumers belong to, or of a consumer.
    pub fn in_reads(kind: Kind) -> Vec<Parameter> {
        let parameter = |meaning: &'static str, default: &'static str| {
            vec![Parameter::new("list_consumers", Values::Boolean, meaning, "false").default(default)]
        };
        match Side::shown_with(kind) {
            Some(_) => parameter("Whether the members of the group are shown with it.", "true"),
            None if kind.grants_access() => parameter("Accepted for decK; changes nothing.", "false"),
            None => Vec::new(),
        }
    }

    /// Whether a password in the body of a write is a hash already.
    pub fn skip_hash(kind: Kind, given: &Given) -> bool {
        kind == Kind::BasicAuth && given.is_true("skip_hash")
    }

    /// Whether a group is read with its members.
    pub fn with_members(kind: Kind, given: &Given) -> bool {
        Side::shown_with(kind).is_some() && given.text("list_consumers") != Some("false")
    }
}

/// The id that a client chooses for an import.
const IMPORT_ID: &str = "import_id";

fn import_id_parameter() -> Parameter {
    let meaning = "A new UUID, which names the import: read `…/imports/{import_id}` to see how far it has come, also while this request \
                   waits. The same content under the same id is one import, which is committed once.";
    let values = Values::Text { chars_max: 36 };
    Parameter::new(IMPORT_ID, values, meaning, "0192d3a4-5b6c-7d8e-9f00-112233445566")
}

fn import_id(given: &Given) -> Result<Option<Uuid>, Problem> {
    let id = given.text(IMPORT_ID).map(Uuid::try_parse).transpose();
    id.map_err(|_| Problem::invalid_parameter(IMPORT_ID, "must be a UUID: make a new one for each import"))
}

/// Query of `POST …/batch`.
pub struct BatchQuery {
    /// The id of the import.
    pub import_id: Option<Uuid>,
}

impl QueryParameters for BatchQuery {
    fn parameters() -> Vec<Parameter> {
        vec![import_id_parameter()]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { import_id: import_id(given)? })
    }
}

/// Query of `PUT …/declarative`.
pub struct ApplyQuery {
    /// Plan and tell the difference; write nothing.
    pub dry_run: bool,
    /// The id of the import.
    pub import_id: Option<Uuid>,
}

impl QueryParameters for ApplyQuery {
    fn parameters() -> Vec<Parameter> {
        let meaning = "Plan and tell the difference; write nothing.";
        let dry_run = Parameter::new("dry_run", Values::Boolean, meaning, "true").default("false");
        vec![dry_run, import_id_parameter()]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { dry_run: given.is_true("dry_run"), import_id: import_id(given)? })
    }
}

/// Query of `GET …/declarative`.
pub struct ExportQuery {
    /// Only entities with all of these tags. The document owns no others.
    pub tags: Vec<String>,
}

impl QueryParameters for ExportQuery {
    fn parameters() -> Vec<Parameter> {
        let meaning = "Only entities that have all of these tags, separated by commas; at most 5. The document says so in \
                       `_info.select_tags`, so that applying it deletes no others.";
        let values = Values::Text { chars_max: TAGS_CHARS_MAX };
        vec![Parameter::new("select_tags", values, meaning, "team-a,production")]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        let tags = given.text("select_tags").unwrap_or_default().split(',');
        let tags: Vec<String> = tags.filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        if tags.len() > TAGS_MAX {
            return Err(Problem::invalid_parameter("select_tags", &format!("at most {TAGS_MAX}")));
        }
        Ok(Self { tags })
    }
}
