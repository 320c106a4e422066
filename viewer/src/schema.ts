/** Checking what a file says against the JSON schema that the library writes of it (header.schema.json). */

export interface Schema {
  type?: string;
  $ref?: string;
  $defs?: Record<string, Schema>;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema;
  propertyNames?: Schema;
  maxProperties?: number;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

const KINDS: Record<string, string> = { integer: "a valid integer", string: "a valid string", boolean: "a valid boolean", array: "a valid array", object: "an object" };
const LONGEST = 100; // characters of a value that a message shows

/** The first problem as one line, in the library's words; null where there is none. */
export function problem(value: unknown, schema: Schema, root = schema, path = ""): string | null {
  if (schema.$ref) return problem(value, root.$defs?.[schema.$ref.split("/").pop() ?? ""] ?? {}, root, path);
  if (schema.anyOf) return anyProblem(value, schema.anyOf, root, path);
  const say = (what: string): string => (path ? `${path}${shown(value)}: ${what}` : what);
  const kind = KINDS[schema.type ?? ""];
  if (kind && !isKind(value, schema.type ?? "")) return say(`should be ${kind}`);
  if (typeof value === "number") {
    if (value < (schema.minimum ?? -Infinity)) return say(`should be greater than or equal to ${schema.minimum}`);
    if (value > (schema.maximum ?? Infinity)) return say(`should be less than or equal to ${schema.maximum}`);
  }
  if (typeof value === "string" && value.length > (schema.maxLength ?? Infinity)) {
    return say(`String should have at most ${schema.maxLength} characters`);
  }
  if (Array.isArray(value)) return listProblem(value, schema, root, path, say);
  if (typeof value === "object" && value !== null) return objectProblem(value as Record<string, unknown>, schema, root, path);
  return null;
}

function anyProblem(value: unknown, schemas: Schema[], root: Schema, path: string): string | null {
  const problems = schemas.map((each) => problem(value, each, root, path));
  return problems.includes(null) ? null : (problems[0] ?? null);
}

function listProblem(list: unknown[], schema: Schema, root: Schema, path: string, say: (what: string) => string): string | null {
  const items = (count: number): string => (count === 1 ? "1 item" : `${count} items`);
  if (list.length < (schema.minItems ?? 0)) return say(`List should have at least ${items(schema.minItems ?? 0)} after validation, not ${list.length}`);
  const most = schema.maxItems ?? Infinity;
  if (list.length > most) return say(`List should have at most ${items(most)} after validation, not ${list.length}`);
  for (const [index, item] of list.entries()) {
    const found = problem(item, schema.items ?? {}, root, path ? `${path}.${index}` : String(index));
    if (found) return found;
  }
  return null;
}

function objectProblem(object: Record<string, unknown>, schema: Schema, root: Schema, path: string): string | null {
  const at = (key: string): string => (path ? `${path}.${key}` : key);
  for (const [key, part] of Object.entries(schema.properties ?? {})) {
    if (Object.hasOwn(object, key)) {
      const found = problem(object[key], part, root, at(key));
      if (found) return found;
    } else if (schema.required?.includes(key)) return `${at(key)}: Field required`;
  }
  if (!schema.additionalProperties) return null;
  const entries = Object.entries(object);
  if (entries.length > (schema.maxProperties ?? Infinity)) return `${path}: Dictionary should have at most ${schema.maxProperties} items`;
  for (const [key, value] of entries) {
    const found = problem(key, schema.propertyNames ?? {}, root, at(key)) ?? problem(value, schema.additionalProperties, root, at(key));
    if (found) return found;
  }
  return null;
}

function isKind(value: unknown, type: string): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  if (type === "null") return value === null;
  return typeof value === type;
}

/** A value as Python writes it. */
function shown(value: unknown): string {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return "";
  const text = written(value);
  return `=${text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`}`;
}

function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.slice(0, LONGEST).map(written).join(", ")}]`;
  if (typeof value === "string") return `'${value.slice(0, 2 * LONGEST)}'`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "object") return `{${Object.entries(value).slice(0, LONGEST).map(([key, each]) => `${written(key)}: ${written(each)}`).join(", ")}}`;
  return String(value);
}
