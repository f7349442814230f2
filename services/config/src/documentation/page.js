// Shows the OpenAPI document of all services. Every text of it is put in as text: nothing of it becomes markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** An element with attributes and children, which are elements or texts. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** What a reference leads to; anything else is answered as it is. */
function resolve(api, value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((at, key) => at?.[key], api);
}

/** The name of a schema's type, as in "array of Route". */
function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const alternatives = schema.oneOf || schema.anyOf;
  if (alternatives) return alternatives.map(typeOf).join(" or ");
  const types = [].concat(schema.type || "any").map((type) => (type === "array" ? `array of ${typeOf(schema.items)}` : type));
  return types.join(" or ");
}

function row(name, type, notes) {
  return element("tr", {}, element("td", {}, element("code", {}, name)), element("td", {}, type), element("td", {}, notes));
}

/** What is said of a value: description, default, vocabulary. */
function notes(schema) {
  const said = [];
  if (schema.description) said.push(schema.description);
  if (schema.default !== undefined) said.push(`Default: ${JSON.stringify(schema.default)}.`);
  const words = schema.enum || schema.items?.enum;
  if (words) said.push(`One of ${words.map((word) => JSON.stringify(word)).join(", ")}.`);
  return said.join(" ");
}

/** The fields of a schema, those of objects within included. */
function fields(api, schema, prefix = "", seen = []) {
  const found = resolve(api, schema) || {};
  const alternatives = (found.oneOf || found.anyOf || []).map((one) => resolve(api, one));
  const inner = alternatives.find((one) => one?.properties) || found;
  const rows = [];
  for (const [name, field] of Object.entries(inner.properties || {})) {
    const required = (inner.required || []).includes(name) ? " (required)" : "";
    rows.push(row(prefix + name, typeOf(field) + required, notes(resolve(api, field) || {})));
    const target = field.items || field;
    const reference = target.$ref || "";
    if (!seen.includes(reference)) {
      const below = field.items ? `${prefix}${name}[].` : `${prefix}${name}.`;
      rows.push(...fields(api, target, below, reference ? [...seen, reference] : seen));
    }
  }
  return rows;
}

function section(title, ...children) {
  return element("details", {}, element("summary", {}, title), ...children);
}

function body(api, title, content) {
  const [[mediaType, { schema }]] = Object.entries(content);
  const rows = fields(api, schema);
  const shown = rows.length ? element("table", {}, ...rows) : element("p", {}, notes(resolve(api, schema) || {}) || typeOf(schema));
  return section(`${title}: ${typeOf(schema)}, ${mediaType}`, shown);
}

function answer(api, status, reference) {
  const response = resolve(api, reference);
  const parts = [];
  for (const media of Object.values(response.content || {})) {
    for (const [name, example] of Object.entries(media.examples || {})) {
      parts.push(element("p", {}, name), element("pre", {}, JSON.stringify(example.value, null, 2)));
    }
    if (!media.examples) parts.push(element("table", {}, ...fields(api, media.schema)));
  }
  return section(`${status} ${response.description}`, ...parts);
}

function parameters(operation) {
  const rows = (operation.parameters || []).map((parameter) => {
    const said = [parameter.description || "", notes(parameter.schema || {})].join(" ");
    return row(parameter.name, `${parameter.in}, ${typeOf(parameter.schema)}`, said);
  });
  return rows.length ? [section(`Parameters: ${rows.length}`, element("table", {}, ...rows))] : [];
}

/** One operation. What is in it is made when it is opened. */
function operation(api, method, path, said) {
  const head = element(
    "summary",
    {},
    element("span", { class: "method" }, method.toUpperCase()),
    element("code", {}, path),
    element("span", { class: "what" }, said.summary || ""),
  );
  const made = element("details", { "data-text": `${method} ${path} ${said.summary || ""}`.toLowerCase() }, head);
  const fill = () => {
    made.append(...parameters(said));
    if (said.requestBody) made.append(body(api, "Body", said.requestBody.content));
    for (const [status, response] of Object.entries(said.responses || {})) made.append(answer(api, status, response));
  };
  made.addEventListener("toggle", fill, { once: true });
  return made;
}

function show(api, into) {
  const groups = new Map((api.tags || []).map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const said = item[method];
      groups.get(said.tags[0]).push(operation(api, method, path, said));
    }
  }
  const shown = [...groups].map(([name, operations]) => element("section", {}, element("h2", {}, name), ...operations));
  into.replaceChildren(...shown);
}

function narrow(words) {
  for (const group of document.querySelectorAll("main section")) {
    let any = false;
    for (const one of group.querySelectorAll("[data-text]")) {
      one.hidden = !words.every((word) => one.dataset.text.includes(word));
      any ||= !one.hidden;
    }
    group.hidden = !any;
  }
}

const main = document.getElementById("operations");
document.getElementById("search").addEventListener("input", (event) => {
  narrow(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
});
fetch("/openapi.json")
  .then((answered) => {
    if (!answered.ok) throw new Error(`the answer is ${answered.status}`);
    return answered.json();
  })
  .then((api) => show(api, main))
  .catch((error) => main.replaceChildren(`The document cannot be read: ${error.message}. Reload the page to try again.`));
