// The rules of scripts/prose. Each finds one habit that hides who does what, in one sentence at a time.
// A rule is a floor: a sentence that passes all of them can still be bad English.

export interface Rule {
  readonly name: string;
  /** Why the habit is bad, and the way out of it. */
  readonly advice: string;
  /** Matches a sentence that breaks the rule. Inline code in a sentence reads `…`. */
  readonly pattern: RegExp;
  /** Sentences that break it. */
  readonly wrong: readonly string[];
  /** The same, said well. */
  readonly right: readonly string[];
}

/** The longest sentence, in words. */
export const LONGEST = 35;

export const RULES: readonly Rule[] = [
  {
    name: "long-sentence",
    advice: `split it: a reader loses a sentence of more than ${LONGEST} words`,
    pattern: new RegExp(`^(?:\\S+\\s+){${LONGEST}}\\S`),
    wrong: [`A row is ${"written and ".repeat(17)}sent.`],
    right: [`A row is ${"written and ".repeat(15)}sent.`],
  },
  {
    name: "question-word-as-subject",
    advice: "begin with a noun that names the thing, or with the verb",
    pattern:
      /^(?:And |But |Of |To |From |By |In |For |With )?(?:what|whatever|whom?|whoever|whose|which|why|until when|since when|how (?:many|much|long|far|often)) (?!.*\?)/i,
    wrong: [
      "What comes now comes too late.",
      "Whom a Reporter tells.",
      "Why such a score is not sent.",
      "How many bytes a row has.",
      "Of what a row is made.",
    ],
    right: [
      "Rows added from here on are rejected and reported.",
      "Callbacks of a Reporter.",
      "Validation error of a score.",
      "Size of a row in bytes.",
      "What is a trace?",
      "How it works.",
    ],
  },
  {
    name: "whether-as-summary",
    advice: "say what the value does: `true` if …, Overrides …, Returns `true` when …",
    pattern: /^(?:and )?whether\b(?!.*[,?] )/i,
    wrong: ["Whether its target is given headers.", "Whether a row is open."],
    right: ["`true` if the row is open.", "Whether or not it succeeds, the lock is released."],
  },
  {
    name: "what-is",
    advice: "replace “what is …” by a noun",
    pattern:
      /\bwhat(?:ever)? (?:is|are|was|were|has|have|had|can|could|may|comes|came|goes|stands|stood|holds|makes|belongs|becomes|became|follows|remains|waits)\b(?!.*\?)/i,
    wrong: ["It sends what is left.", "Cuts what has too many bytes."],
    right: ["It sends the remaining rows.", "What is a span?"],
  },
  {
    name: "that-which",
    advice: "replace the pronoun by the noun that it stands for",
    pattern:
      /\bthat which\b|\bthose (?:which|who|whose|of|in|to|for|from|with|by)\b|\b(?:he|she|one|ones) (?:that|who|which|whose)\b|(?<!after |before |so |than )\bthat of\b/i,
    wrong: ["that which was sent", "The limit is that of Opik.", "It takes the one that ended first."],
    right: ["the rows that were sent", "Opik sets the limit.", "It takes the span that ended first."],
  },
  {
    name: "one-or-none",
    advice: "repeat the noun that “one” or “none” stands for",
    pattern:
      /\b(?:has|have|had|is|are|was|were|with|without|takes?|gets?|makes?|needs?|sends?|gives?|given|finds?|names?|sets?|where|if|and|or|but|of|to|by) (?:one|none)(?! or two)(?=[.,;:)]|$| (?:that|which|who|whose|where|and|or|is|are|already|of its|for|from)\b)/i,
    wrong: ["A request has one.", "Where there is none, and one is needed, it waits.", "It makes one that lasts."],
    right: ["A request has a token.", "It sends one or two rows.", "None of the rows was sent."],
  },
  {
    name: "told",
    advice: "say who reports what to whom, in the active voice",
    pattern:
      /\b(?:is|are|was|were|be|being|been) (?:told|given (?:the|an?|its|their|no|what|that|to|headers)) ?\b|\b(?:told|says?|said|saying|tells?) so\b/i,
    wrong: ["It comes too late, and is told so.", "A call is given headers.", "The log says so."],
    right: ["The reporter names the lost rows.", "The client adds headers to a call.", "Given a token, it signs."],
  },
  {
    name: "whom",
    advice: "name the person or the thing, or use “who”",
    pattern: /\bwhom\b/i,
    wrong: ["the callback whom a Reporter calls"],
    right: ["the callback that a Reporter calls"],
  },
  {
    name: "archaic",
    advice: "use today's word",
    pattern:
      /\b(?:lest|whilst|amongst|upon|thereof|thereby|therein|herein|hereby|wherein|whereof|whereby|whence|whither|nought|naught|albeit|thus|shall|ought|nay|verily|hitherto|till|but for|save for|save that|for want of|be it|be they|be there|as may be|as often as not|of now|so far as|in so far|insofar)\b/i,
    wrong: [
      "Lest a row be lost, it waits.",
      "The environment of now.",
      "It waits till the end.",
      "All steps, but for those that measure.",
    ],
    right: [
      "It waits, so that no row is lost.",
      "The active environment.",
      "It waits until the end.",
      "All steps except `bench`.",
    ],
  },
  {
    name: "so-many",
    advice: "give the number, or name the quantity",
    pattern: /\bso (?:many|much|few)\b(?! (?:that|as|more|less|better|fewer)\b)/i,
    wrong: ["It waits for so many milliseconds."],
    right: ["It waits for `timeout` milliseconds.", "It takes so much that it fails."],
  },
  {
    name: "by-themselves",
    advice: "write “automatically”, “alone”, or name the cause",
    pattern: /\bby themselves\b/i,
    wrong: ["Flags set it up by themselves."],
    right: ["The flags set it up automatically."],
  },
  {
    name: "to-be-had",
    advice: "say who has, gets or finds it",
    pattern: /\b(?:is|are|was|were|be|been|being) had\b/i,
    wrong: ["Where it can be had, it is used.", "The tool is had from the registry."],
    right: ["It is used where it is installed.", "It had been sent."],
  },
  {
    name: "of-its-own",
    advice: "write “its own …”, “our …”",
    pattern:
      /\bof (?:its|their|his|her|one's|your|our|my) own\b|\b(?:a|an|any|no|some|every|each|another)(?: [\p{L}-]+){1,2} of (?:ours|yours|theirs|hers|mine)\b|\bof (?:itself|themselves)\b/iu,
    wrong: ["It has a lock of its own.", "A write of ours notices.", "It ends of itself."],
    right: ["It has its own lock.", "Our write notices.", "It ends when the timer fires."],
  },
  {
    name: "may-not",
    advice: "“may not” has two meanings: write “must not” or “might not”",
    pattern: /\bmay (?:not|never|no)\b/i,
    wrong: ["A page may not write here."],
    right: ["A page must not write here.", "The call might not return."],
  },
  {
    name: "can-not",
    advice: "write “cannot”",
    pattern: /\bcan not\b(?! only)/i,
    wrong: ["It can not be sent."],
    right: ["It cannot be sent."],
  },
  {
    name: "is-no",
    advice: "write “is not a …”",
    pattern:
      /(?<!\bthere )\b(?:is|are|was|were|be) (?:no|nothing|nobody)\b(?! (?:longer|more|less|matter|setting of))/i,
    wrong: ["A token is no JWT.", "Such calls are no spans."],
    right: ["A token is not a JWT.", "There is no span.", "It is no longer open."],
  },
  {
    name: "nothing-but",
    advice: "write “only”",
    pattern: /\b(?:nothing|none|nobody|no one|no (?:other )?\w+) (?:but|else than|other than)\b/i,
    wrong: ["It reads nothing but numbers.", "It has no field but these."],
    right: ["It reads only numbers."],
  },
  {
    name: "has-it",
    advice: "say who defines or writes it, with the verb beside its object",
    pattern:
      /\bas (?:[\p{L}'’-]+ ){0,4}(?:has|have|had) (?:it|them)\b|\b(?:than|as) (?:it is|is) said\b|\bsaid otherwise\b|\botherwise said\b/iu,
    wrong: ["As the API has it.", "15 s unless it is said otherwise."],
    right: ["As the API defines it.", "15 s by default."],
  },
  {
    name: "all-that",
    advice: "write “everything that …”, or name the things",
    pattern: /\ball (?:that|of that|of what|what|this is|of it)\b(?! \w+ing)/i,
    wrong: ["It sends all that waits."],
    right: ["It sends every waiting row.", "Now that all rows are sent, it ends."],
  },
  {
    name: "so-ordered",
    advice: "put subject and verb first, and the condition after them",
    pattern:
      /\bnor (?:is|are|has|have|does|do|can|will|was|were)\b|^(?:so|such|nor) (?:is|are|has|have|does|do|can|will|was|were)\b/i,
    wrong: ["So is a span.", "It waits for no one, nor does it retry."],
    right: ["A span is too.", "It does not wait and does not retry.", "Neither is reached."],
  },
];
