// How others get at the answers: addresses to copy, tokens to make and revoke.

const SCOPES = { freebusy: "busy times and slots", details: "titles and places", book: "mark, hold and book time", metrics: "figures for Prometheus", admin: "everything else, tokens included" };
const base = document.body.dataset.address || location.origin;

let chosenProfile = () => ({});

function beginAccess(profile) {
  chosenProfile = profile;
  element("token").hidden = !may("admin");
  element("token").onclick = askForToken;
}

async function refreshAccess(profile) {
  const tokens = may("admin") ? (await ask("/v1/tokens")).tokens : [];
  const mine = tokens.filter((token) => token.profile === profile.name || token.profile === "*");
  fill("access", [profile.name, mine.map((token) => ({ ...token, last_used: used(token) }))], () => [
    copy("CalDAV, for calendar apps", `${base}/dav/${encodeURIComponent(profile.name)}/`),
    make("p", { className: "quiet" }, "The password is a token; any user name will do. A feed has an address of its own for each token, shown when the token is made."),
    /\/\/(127\.|localhost|\[::1\])/.test(base) && make("p", { className: "quiet" }, "This address works on this machine only. A phone needs a proxy, and ", make("code", {}, "public_url"), " in the configuration."),
    mine.length > 0 && table(["Token", "Allows", "Last used", ""], mine.map((token) => [token.name || token.id, token.scopes.join(", "), used(token), revoke(token)])),
  ]);
}

const used = ({ last_used, expires }) => (expires && Date.parse(expires) < serverNow() ? "expired" : last_used ? ago(Math.floor((serverNow() - Date.parse(last_used)) / 60_000) * 60_000).replace(/^0 s ago/, "just now") : "never");

function copy(label, text) {
  const button = make("button", { type: "button" }, "Copy");
  button.ariaLabel = `Copy: ${label}`;
  button.onclick = async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  };
  return make("div", { className: "row" }, make("div", {}, make("strong", {}, label), make("p", {}, make("code", {}, text))), navigator.clipboard && button);
}

function revoke(token) {
  const name = token.name || token.id;
  const button = make("button", { type: "button" }, "Revoke");
  button.ariaLabel = `Revoke ${name}`;
  const warning = token.chosenProfile ? " You are logged in with it, and will be logged out." : "";
  button.onclick = () => askFirst(`Revoke ${name}?${warning}`, "Revoke", async () => {
    await ask(`/v1/tokens/${token.id}`, { method: "DELETE" });
    await refreshAccess(chosenProfile());
  });
  return button;
}

function askForToken() {
  const { name } = chosenProfile();
  const title = make("input", { maxLength: 100, placeholder: "my phone" });
  const boxes = Object.entries(SCOPES).filter(([scope]) => may(scope)).map(([scope, meaning]) => {
    const box = make("input", { type: "checkbox", value: scope, checked: scope === "freebusy" });
    return [box, make("label", { className: "check" }, box, ` ${scope}: ${meaning}`)];
  });
  const details = make("input", { type: "checkbox" });
  openDialog(`A token for ${name}`, make("div", { className: "fields" }, make("label", {}, "What it is for", title)),
    boxes.map(([, label]) => label),
    may("details") && make("label", { className: "check" }, details, " its feed shows titles and places"),
    act("Make the token", () => ask("/v1/tokens", {
      method: "POST",
      body: { profile: name, name: title.value, scopes: boxes.filter(([box]) => box.checked).map(([box]) => box.value), details: details.checked },
    }), (made) => {
      openDialog("Shown only now", copy("Token", made.token), made.feed && copy("Feed, to subscribe to", base + made.feed),
        make("p", { className: "quiet" }, "Whoever has the address of the feed can read it."));
      refreshAccess(chosenProfile());
    }));
}
