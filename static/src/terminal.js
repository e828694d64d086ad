import { Terminal } from "@xterm/xterm";
window.Terminal = Terminal;
