export declare function handlebarsModule(source: string): string;
