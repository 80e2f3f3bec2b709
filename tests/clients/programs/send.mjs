// node send.mjs PATH-OF-NODEMAILER JSON: one mail through nodemailer.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const nodemailer = createRequire(import.meta.url)(process.argv[2]);
const job = JSON.parse(process.argv[3]);
const transport = nodemailer.createTransport({
  host: "localhost",
  port: job.port,
  name: "client.test",
  secure: job.encryption === "tls",
  requireTLS: job.encryption === "starttls",
  tls: job.ca ? { ca: readFileSync(job.ca) } : undefined,
  auth: job.mechanism ? { user: job.login, pass: job.password } : undefined,
  authMethod: job.mechanism || undefined,
});
const sent = await transport.sendMail({
  from: job.from,
  to: job.to,
  subject: job.subject,
  text: job.text,
});
console.log(sent.response);
