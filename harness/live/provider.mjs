// A real identity provider (oidc-provider, certified by the OpenID Foundation) with its own development login, on loopback.
// node provider.mjs PORT REDIRECT SECRET: the login typed is the subject, and "fraud…" is in the group of the fraud desk.
import { Provider } from "oidc-provider";

const [port, desk, secret] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "desk",
      client_secret: secret,
      redirect_uris: [`${desk}/login/back`],
      post_logout_redirect_uris: [`${desk}/login`],
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      preferred_username: `${id}@bank.example`,
      groups: id.startsWith("fraud") ? ["fraud-desk"] : ["everybody"],
    }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
