//! What a list of control planes is narrowed to and sorted by, in the parameters of Konnect's API.

use ids::ControlPlaneId;
use web::{Given, Numbered, Parameter, Problem, QueryParameters, TextFilter, Values};

use super::http::CLUSTER_TYPE;

/// Most ids in one `filter[id][oeq]`.
const IDS_MAX: usize = 100;

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
    /// Whether a condition was given that no control plane meets.
    pub none: bool,
    /// Goes behind `ORDER BY`: one of this file's constants.
    pub order: &'static str,
}

impl Filter {
    /// No condition, in order of the ids.
    pub fn all(page: Numbered) -> Self {
        Self { page, name: TextFilter::default(), name_not: None, ids: None, none: false, order: "id" }
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
        let cluster_type = given.either("filter[cluster_type][eq]", "filter[cluster_type]")?;
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
            none: cluster_type.is_some_and(|cluster_type| cluster_type != CLUSTER_TYPE),
            order: order.map_or("id", |(_, order)| order),
        })
    }
}

fn read_id(parameter: &str, text: &str) -> Result<ControlPlaneId, Problem> {
    text.trim()
        .parse()
        .map_err(|_| Problem::invalid_parameter(parameter, "must be the id of a control plane"))
}
