const { LightstreamerClient, Subscription } = require("lightstreamer-client-node");
const [url, user, password, item] = process.argv.slice(2);
const say = (...what) => console.log(JSON.stringify(what));
const client = new LightstreamerClient(url);
client.connectionDetails.setUser(user);
client.connectionDetails.setPassword(password);
client.addListener({ onStatusChange: s => say("status", s), onServerError: (c, m) => say("error", c, m) });
const sub = new Subscription("DISTINCT", [item], ["BID", "OFR", "UTM", "LTV"]);
sub.setRequestedSnapshot("yes");
sub.addListener({
  onSubscription: () => say("subscribed"),
  onEndOfSnapshot: () => say("snapshot ended"),
  onItemUpdate: u => say("update", u.isSnapshot(), u.getValue("BID"), u.getValue("OFR"), u.getValue("UTM"), u.getValue("LTV")),
});
client.subscribe(sub);
client.connect();
process.stdin.on("data", () => { client.disconnect(); setTimeout(() => process.exit(0), 300); });
