// validate.mjs MODULES FILE: with the packages of the folder MODULES, check each document of a custom kind in a YAML file against its published schema.
// Prints a line a document, `ok`, `unknown` (no schema here: a core kind) or what is wrong; exit 1 for that.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

// By file, since the packages are not beside this script.
const load = (path) => import(pathToFileURL(join(resolve(process.argv[2]), "node_modules", path)));
const { parseAllDocuments } = (await load("yaml/dist/index.js")).default;
const PACKAGES = {
  "argoproj.io": "argo-cd",
  "external-secrets.io": "external-secrets",
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
  "monitoring.coreos.com": "prometheus-operator",
  "bitnami.com": "sealed-secrets",
};

let failed = false;
for (const parsed of parseAllDocuments(readFileSync(process.argv[3], "utf8"))) {
  const manifest = parsed.toJS();
  if (!manifest) continue;
  const [group, version] = manifest.apiVersion.split("/");
  const name = `${manifest.kind}/${manifest.metadata.name}`;
  if (!PACKAGES[group]) {
    console.log(`${name}: unknown`);
    continue;
  }
  try {
    const models = await load(`@kubernetes-models/${PACKAGES[group]}/${group}/${version}/${manifest.kind}.js`);
    new models[manifest.kind](manifest).validate();
    console.log(`${name}: ok`);
  } catch (error) {
    failed = true;
    console.log(`${name}: ${error.message}`);
  }
}
process.exit(failed ? 1 : 0);
