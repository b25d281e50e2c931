// Tells the node that its visitor types. The node takes it back by itself when
// it hears no more, or when the line has come.

const RENEW = 1500;

export class Keys {
  // send(typing) sends it if there is a connection.
  constructor(field, send) {
    this.send = send;
    this.reset();
    field.addEventListener("input", () => this.changed(field.value.trim() !== ""));
  }

  reset() {
    this.told = -Infinity;
  }

  changed(typing) {
    const now = performance.now();
    if (typing && now - this.told > RENEW) {
      this.told = now;
      this.send(true);
    } else if (!typing && this.told > -Infinity) {
      this.reset();
      this.send(false);
    }
  }
}
