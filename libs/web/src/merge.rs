//! One OpenAPI document of several: each service describes its own endpoints, and clients read all of them at one address.
//!
//! What two services describe alike under one name stays one. Where they mean different things by a name, the later one's gets the name of its
//! service in front: `Token` of authz becomes `AuthzToken`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// What every reference into a document's components begins with.
const COMPONENTS: &str = "#/components/";

/// Two services answer the same requests.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} {path} is an endpoint of {first} and of {second}: one of them has to give way")]
pub struct Clash {
    method: String,
    path: String,
    first: String,
    second: String,
}

/// A name of a component: the section that it stands in, and its name there.
type Name = (String, String);

/// The documents of some services, by the names of the services, as one with this title. Operations are tagged with their service.
pub fn merge(title: &str, documents: &[(&str, Value)]) -> Result<Value, Clash> {
    let mut components: BTreeMap<Name, Value> = BTreeMap::new();
    let mut paths: Map<String, Value> = Map::new();
    for (service, document) in documents {
        let own = named(document);
        let renamed = renamed(service, &own, &components);
        for (name, mut component) in own {
            rename(&mut component, &renamed);
            components.insert(renamed.get(&name).cloned().unwrap_or(name), component);
        }
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            let merged = paths.entry(path).or_insert_with(|| json!({}));
            for (method, operation) in item.as_object().into_iter().flatten() {
                if let Some(first) = merged[method]["tags"][0].as_str() {
                    let (method, path) = (method.to_uppercase(), path.clone());
                    return Err(Clash {
                        method,
                        path,
                        first: first.to_owned(),
                        second: (*service).to_owned(),
                    });
                }
                let mut operation = operation.clone();
                rename(&mut operation, &renamed);
                operation["tags"] = json!([service]);
                merged[method] = operation;
            }
        }
    }
    let mut sections = json!({});
    for ((section, name), component) in components {
        sections[section][name] = component;
    }
    let tags: Vec<Value> = documents.iter().map(|(service, _)| json!({ "name": service })).collect();
    Ok(json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": "1" },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": sections,
    }))
}

/// The components of a document.
fn named(document: &Value) -> BTreeMap<Name, Value> {
    let sections = document["components"].as_object().into_iter().flatten();
    let all = sections.flat_map(|(section, components)| {
        let components = components.as_object().into_iter().flatten();
        components.map(move |(name, component)| ((section.clone(), name.clone()), component.clone()))
    });
    all.collect()
}

/// New names for the components of `service` that mean something else than those which others have under the same name, be it by
/// themselves or by what they refer to.
fn renamed(
    service: &str,
    own: &BTreeMap<Name, Value>,
    others: &BTreeMap<Name, Value>,
) -> BTreeMap<Name, Name> {
    let mut differ: BTreeSet<Name> = BTreeSet::new();
    loop {
        let is_news = |(name, component): &(&Name, &Value)| {
            let other = others.get(*name);
            !differ.contains(*name)
                && other.is_some_and(|other| other != *component || refers_to(component, &differ))
        };
        let news: Vec<Name> = own.iter().filter(is_news).map(|(name, _)| name.clone()).collect();
        if news.is_empty() {
            break;
        }
        differ.extend(news);
    }
    let mut words = service.chars();
    let prefix: String = words.next().into_iter().flat_map(char::to_uppercase).chain(words).collect();
    differ
        .into_iter()
        .map(|(section, name)| ((section.clone(), name.clone()), (section, format!("{prefix}{name}"))))
        .collect()
}

fn refers_to(value: &Value, names: &BTreeSet<Name>) -> bool {
    match value {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str).and_then(read_reference);
            reference.is_some_and(|name| names.contains(&name))
                || fields.values().any(|value| refers_to(value, names))
        }
        Value::Array(list) => list.iter().any(|value| refers_to(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn rename(value: &mut Value, names: &BTreeMap<Name, Name>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some((section, name)) = read_reference(reference).and_then(|name| names.get(&name))
            {
                *reference = format!("{COMPONENTS}{section}/{name}");
            }
            fields.values_mut().for_each(|value| rename(value, names));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn read_reference(reference: &str) -> Option<Name> {
    let (section, name) = reference.strip_prefix(COMPONENTS)?.split_once('/')?;
    Some((section.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(paths: Value, schemas: Value) -> Value {
        json!({"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}})
    }

    fn list_of(name: &str) -> Value {
        json!({"items": {"$ref": format!("#/components/schemas/{name}")}})
    }

    #[test]
    fn what_differs_is_renamed_with_all_that_refers_to_it() {
        let one = document(
            json!({"/a": {"get": {"answer": list_of("List")}}}),
            json!({"Id": {"type": "string"}, "Token": {"a": 1}, "List": list_of("Token")}),
        );
        let two = document(
            json!({"/b": {"get": {"answer": list_of("List")}}, "/a": {"put": {"answer": list_of("Id")}}}),
            json!({"Id": {"type": "string"}, "Token": {"a": 2}, "List": list_of("Token"), "Own": list_of("List")}),
        );
        let merged = merge("all", &[("identity", one), ("authz", two)]).expect("no clash");
        let schemas = &merged["components"]["schemas"];
        let names: Vec<_> = schemas.as_object().expect("schemas").keys().collect();
        assert_eq!(names, ["AuthzList", "AuthzToken", "Id", "List", "Own", "Token"]);
        assert_eq!((&schemas["List"], &schemas["AuthzList"]), (&list_of("Token"), &list_of("AuthzToken")));
        assert_eq!(schemas["Own"], list_of("AuthzList"));
        let paths = &merged["paths"];
        assert_eq!(paths["/a"]["get"], json!({"answer": list_of("List"), "tags": ["identity"]}));
        assert_eq!(paths["/a"]["put"], json!({"answer": list_of("Id"), "tags": ["authz"]}));
        assert_eq!(paths["/b"]["get"]["answer"], list_of("AuthzList"));
    }

    #[test]
    fn an_endpoint_belongs_to_one_service() {
        let paths = json!({"/a": {"get": {}}});
        let both = [("identity", document(paths.clone(), json!({}))), ("authz", document(paths, json!({})))];
        let clash = merge("all", &both).expect_err("a clash").to_string();
        assert!(clash.starts_with("GET /a is an endpoint of identity and of authz"), "{clash}");
    }
}
