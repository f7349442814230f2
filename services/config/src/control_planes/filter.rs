//! What a list of control planes is narrowed to and sorted by, in the parameters of Konnect's API.

use ids::ControlPlaneId;
use web::{Given, Numbered, Parameter, Problem, QueryParameters, TextFilter, Values};

use super::{Labels, http::CLUSTER_TYPE};

/// Most ids in one `filter[id][oeq]`.
const IDS_MAX: usize = 100;

/// Most labels that one list can be narrowed by.
const LABELS_MAX: usize = 10;
/// Longest list of labels or of types, characters.
const LIST_CHARS_MAX: usize = 2048;

/// Each order by its name in requests, and as the statement takes it.
const ORDERS: [(&str, &str); 12] = [
    ("id", "id"),
    ("id asc", "id"),
    ("id desc", "id DESC"),
    ("name", "name, id"),
    ("name asc", "name, id"),
    ("name desc", "name DESC, id"),
    ("created_at", "created_at, id"),
    ("created_at asc", "created_at, id"),
    ("created_at desc", "created_at DESC, id"),
    ("updated_at", "updated_at, id"),
    ("updated_at asc", "updated_at, id"),
    ("updated_at desc", "updated_at DESC, id"),
];
const ORDER_NAMES: [&str; ORDERS.len()] = {
    let mut names = [""; ORDERS.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = ORDERS[place].0;
        place += 1;
    }
    names
};

/// A page of the control planes that all conditions let through.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Which page.
    pub page: Numbered,
    /// By name.
    pub name: TextFilter,
    /// Not the one with this name.
    pub name_not: Option<String>,
    /// Only those with one of these ids.
    pub ids: Option<Vec<ControlPlaneId>>,
    /// Only those with these labels.
    pub labels: Labels,
    /// Only those with labels of these names.
    pub label_names: Vec<String>,
    /// Whether a condition was given that no control plane meets.
    pub none: bool,
    /// Goes behind `ORDER BY`: one of this file's constants.
    pub order: &'static str,
}

impl Filter {
    /// No condition, in order of the ids.
    pub fn all(page: Numbered) -> Self {
        Self {
            page,
            name: TextFilter::default(),
            name_not: None,
            ids: None,
            labels: Labels::new(),
            label_names: Vec::new(),
            none: false,
            order: "id",
        }
    }
}

impl QueryParameters for Filter {
    fn parameters() -> Vec<Parameter> {
        let id = "0192d3a4-5b6c-7d8e-9f00-112233445566";
        let mut parameters = Numbered::parameters();
        // As decK spells them where it looks for a control plane.
        parameters.extend([
            Parameter::new(
                "page",
                Values::Number { min: 1, max: 10_000 },
                "The same as `page[number]`.",
                "2",
            ),
            Parameter::new("size", Values::Number { min: 1, max: 100 }, "The same as `page[size]`.", "100"),
        ]);
        parameters.extend(TextFilter::parameters("name", "payments"));
        parameters.extend([
            Parameter::text("filter[name][neq]", "Only control planes with another name.", "payments"),
            Parameter::text("filter[id][eq]", "Only the control plane with this id.", id),
            Parameter::text("filter[id]", "The same as `filter[id][eq]`.", id),
            Parameter::new(
                "filter[id][oeq]",
                Values::Text { chars_max: IDS_MAX * (id.len() + 1) },
                "Only control planes with one of these ids, separated by commas; at most 100.",
                id,
            ),
            Parameter::text("filter[cluster_type][eq]", "Only control planes of this type.", CLUSTER_TYPE),
            Parameter::text("filter[cluster_type]", "The same as `filter[cluster_type][eq]`.", CLUSTER_TYPE),
            Parameter::text("filter[cluster_type][neq]", "Only control planes of another type.", CLUSTER_TYPE),
            Parameter::new(
                "filter[cluster_type][oeq]",
                Values::Text { chars_max: LIST_CHARS_MAX },
                "Only control planes of one of these types, separated by commas.",
                CLUSTER_TYPE,
            ),
            Parameter::new(
                "filter[cloud_gateway]",
                Values::Boolean,
                "`true`: none, since whoever enrols nodes runs them.",
                "false",
            ),
            Parameter::new(
                "labels",
                Values::Text { chars_max: LIST_CHARS_MAX },
                "Only control planes with these labels, separated by commas: `name:value`, or `name` for any value; at most 10.",
                "env:production,team",
            ),
            Parameter::new("sort", Values::OneOf(&ORDER_NAMES), "The order of the list.", "name desc")
                .default("id"),
        ]);
        parameters
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        let one = given.either("filter[id][eq]", "filter[id]")?;
        let ids = match (one, given.text("filter[id][oeq]")) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid_parameter("filter[id][oeq]", "give it without filter[id][eq]"));
            }
            (Some(id), None) => Some(vec![read_id("filter[id][eq]", id)?]),
            (None, Some(list)) => {
                let ids: Vec<_> =
                    list.split(',').map(|id| read_id("filter[id][oeq]", id)).collect::<Result<_, _>>()?;
                Some(ids)
            }
            (None, None) => None,
        };
        let (labels, label_names) = read_labels(given.text("labels").unwrap_or_default())?;
        let order = given.text("sort").and_then(|sort| ORDERS.iter().find(|(name, _)| *name == sort));
        let mut page = Numbered::read(given)?;
        for (name, short) in [("page[number]", "page"), ("page[size]", "size")] {
            if given.pairs().filter(|(given, _)| [name, short].contains(given)).count() > 1 {
                let reason = format!("means the same as {name}: give one of them");
                return Err(Problem::invalid_parameter(short, &reason));
            }
        }
        page.number = given.number("page").unwrap_or(page.number);
        page.size = given.number("size").unwrap_or(page.size);
        Ok(Self {
            page,
            name: TextFilter::read(given, "name")?,
            name_not: given.text("filter[name][neq]").map(str::to_owned),
            ids,
            labels,
            label_names,
            none: !has_cluster_type(given)? || given.is_true("filter[cloud_gateway]"),
            order: order.map_or("id", |(_, order)| order),
        })
    }
}

/// Whether the conditions let control planes of the only type through.
fn has_cluster_type(given: &Given) -> Result<bool, Problem> {
    let equal = given.either("filter[cluster_type][eq]", "filter[cluster_type]")?;
    let one_of =
        given.text("filter[cluster_type][oeq]").map(|list| list.split(',').any(|one| one == CLUSTER_TYPE));
    Ok(equal.is_none_or(|equal| equal == CLUSTER_TYPE)
        && given.text("filter[cluster_type][neq]") != Some(CLUSTER_TYPE)
        && one_of.unwrap_or(true))
}

/// `name:value` or `name`, separated by commas.
fn read_labels(list: &str) -> Result<(Labels, Vec<String>), Problem> {
    let (mut labels, mut names) = (Labels::new(), Vec::new());
    for label in list.split(',').map(str::trim).filter(|label| !label.is_empty()) {
        match label.split_once(':') {
            None => names.push(label.to_owned()),
            Some((name, value)) => {
                if labels.insert(name.to_owned(), value.to_owned()).is_some() {
                    return Err(Problem::invalid_parameter(
                        "labels",
                        "a label has one value: give each name once",
                    ));
                }
            }
        }
    }
    if labels.len() + names.len() > LABELS_MAX {
        return Err(Problem::invalid_parameter("labels", &format!("at most {LABELS_MAX}")));
    }
    Ok((labels, names))
}

fn read_id(parameter: &str, text: &str) -> Result<ControlPlaneId, Problem> {
    text.trim()
        .parse()
        .map_err(|_| Problem::invalid_parameter(parameter, "must be the id of a control plane"))
}
