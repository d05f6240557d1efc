/** Greets with a title. */
export declare function hello(title: string, name: string): string;
