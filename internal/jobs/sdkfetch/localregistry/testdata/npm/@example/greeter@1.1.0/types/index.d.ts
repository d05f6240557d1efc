import { Language } from './language.js';

/** What a greeter needs to know. */
export interface GreeterOptions {
  /** The language to greet in; English if absent. */
  language?: Language;
}

/** Greets in one language. */
export declare class Greeter {
  constructor(options?: GreeterOptions);
  /** Returns a greeting for a name. */
  greet(name: string): string;
}

/**
 * Returns a greeting for a name in English.
 *
 * @deprecated use Greeter
 */
export declare function hello(name: string): string;

export { Language };
export * as polite from './polite.js';
export default Greeter;
