/** Returns a greeting for a name. */
export declare function hello(name: string): string;
