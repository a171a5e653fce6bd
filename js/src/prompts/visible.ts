/** Text of data as a person can tell it from other text: what has no ink gets a sign. */

const SIGNS: Record<string, string> = { " ": "·", "\n": "⏎", "\r": "␍", "\t": "⇥" };

/** Letters that are not seen, or turn the direction of what follows. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** A token: spaces are signs too. */
export function visibleToken(text: string): string {
  return text === "" ? "∅" : visibleText(text.replaceAll(" ", "·"));
}

/** A longer text, whose spaces stay what they are. */
export function visibleText(text: string): string {
  return text.replace(UNSEEN, (letter) => SIGNS[letter] ?? `⟨${codeOf(letter)}⟩`);
}

function codeOf(letter: string): string {
  return (letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}
